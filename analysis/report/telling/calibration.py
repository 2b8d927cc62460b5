"""What a report tells of the calibration of the winner, before temperature scaling and after."""

from __future__ import annotations

from analysis.results import CALIBRATED, MORE, Estimate, TestResult
from analysis.words import kept_text, listed, signed


def calibration_rows(test: TestResult) -> list[dict[str, str]]:
    """Return each measure with its interval, before and after."""
    after = {} if test.scaling is None else test.scaling.after
    return [
        {"name": MORE[name], "before": _told(name, test.more.get(name)), "after": _told(name, after.get(name))}
        for name in CALIBRATED
        if name in test.more
    ]


def scaled_words(test: TestResult) -> str:
    """Return what temperature scaling does to the held-out probabilities, in words."""
    found = test.scaling
    if found is None:
        return (
            f"These models were trained on {test.trained_on}: no images are left on which a temperature could be "
            "fitted, so the probabilities stay as they are."
        )
    one = len(found.temperatures) == 1
    which = "the temperature" if one else "the temperatures of the seeds,"
    told = f"With {which} {listed([f'{each:.2f}' for each in found.temperatures])}{'' if one else ','} fitted on the "
    told += f"{found.images:,} validation images, the log loss on the held-out images "
    gain = found.gain
    if gain.low <= 0 <= gain.high:
        told += f"is not shown to fall (95 % interval {signed(gain.low, 3)} to {signed(gain.high, 3)} nats)"
    else:
        falls = gain.low > 0
        low, high = (gain.low, gain.high) if falls else (-gain.high, -gain.low)
        told += f"{'falls' if falls else 'rises'} by {signed(abs(gain.value), 3)[1:]} nats "
        told += f"(95 % interval {signed(low, 3)} to {signed(high, 3)})"
    return f"{told}. It changes no answer."


def _told(name: str, estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    low, high = kept_text(name, estimate.low), kept_text(name, estimate.high)
    return f"{kept_text(name, estimate.value)} ({low} to {high})"
