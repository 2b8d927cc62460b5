"""Numbers in words: shares as per cent, intervals, settings in a line."""

from __future__ import annotations

import statistics
from typing import Any

from analysis.results import ALPHA, Estimate
from fer_tune.amounts import amount
from fer_tune.config import FIELDS
from fer_tune.objectives import ACCURACY, Aim


def percent(value: float | None) -> str:
    """Return a share in [0, 1] as per cent with one decimal, without the sign; an en dash for none."""
    return "–" if value is None or value != value else f"{100 * value:.1f}"


def span(estimate: Estimate) -> str:
    """Return ``61.9 to 64.3``, the bounds of an interval in per cent."""
    return f"{percent(estimate.low)} to {percent(estimate.high)}"


def told(value: float | None, aim: Aim = ACCURACY) -> str:
    """Return what a model is judged by, without its unit: a share in per cent, a loss with three decimals."""
    if value is None or value != value:
        return "–"
    return percent(value) if aim.share else f"{value:.3f}"


def unit(aim: Aim) -> str:
    """Return the unit of what `told` or `mean_sd` gives."""
    return "%" if aim.share else "nats"


def full(value: float | None, aim: Aim = ACCURACY) -> str:
    """Return `told` with its unit."""
    return f"{told(value, aim)} {unit(aim)}"


def mean_sd(values: list[float], aim: Aim = ACCURACY) -> str:
    """Return ``63.1 ± 0.4``: mean and standard deviation over seeds of what they are judged by, see `told`."""
    if not values:
        return "–"
    mean = told(statistics.fmean(values), aim)
    return f"{mean} ± {told(statistics.stdev(values), aim)}" if len(values) > 1 else mean


def settings_text(config: dict[str, Any]) -> str:
    """Return the settings of a configuration in one line, in the order of `config.FIELDS`."""
    shown = [name for name in FIELDS if config.get(name) is not None and name not in ("backbone", "epochs", "seed")]
    return ", ".join(f"{name} {_short(config[name])}" for name in shown)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Return ``40 seconds``, ``12 minutes`` or ``1.6 hours``.

    >>> duration(40), duration(89.4), duration(700), duration(5800)
    ('40 seconds', '89 seconds', '12 minutes', '1.6 hours')
    """
    if seconds < 90:
        return amount(round(seconds), "second")
    return amount(round(seconds / 60), "minute") if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def signed(value: float, digits: int = 1) -> str:
    """Return a number with its sign, told as 0 only where it is 0: with as many decimals as that takes; a true minus.

    A bound that is above zero, and told as +0.0, would contradict what is said of it.

    >>> signed(1.26), signed(0.03), signed(-0.004), signed(0)
    ('+1.3', '+0.03', '−0.004', '+0.0')
    """
    while value and digits < 12 and float(f"{value:.{digits}f}") == 0:
        digits += 1
    return f"{value + 0.0:+.{digits}f}".replace("-", "−")


def points(difference: float) -> str:
    """Return a difference of shares in points with its sign, such as ``+1.3``; see `signed`."""
    return signed(100 * difference)


def size(value: float, aim: Aim = ACCURACY) -> str:
    """Return the size of a difference of what a model is judged by: ``1.3 points`` or ``0.020 nats``."""
    scaled = abs(aim.scale * value)
    return f"{signed(scaled, 1 if aim.share else 3)[1:]} {'points' if aim.share else 'nats'}"


def apart(low: float, high: float, aim: Aim = ACCURACY) -> str:
    """Return the bounds of a difference of what a model is judged by, with their signs."""
    digits = 1 if aim.share else 3
    return f"{signed(aim.scale * low, digits)} to {signed(aim.scale * high, digits)}"


def p_text(p: float) -> str:
    """Return ``< 0.001`` or a p value with three decimals; more where it would seem to lie on the other side of 0.05.

    >>> p_text(0.0004), p_text(0.0213), p_text(0.04996)
    ('< 0.001', '0.021', '0.04996')
    """
    digits = 3
    while digits < 12 and (float(f"{p:.{digits}f}") < ALPHA) != (p < ALPHA):
        digits += 1
    return "< 0.001" if p < 0.001 else f"{p:.{digits}f}"


def kept_text(name: str, value: float | None) -> str:
    """Return a metric for people: log loss in nats and the Brier score, with its parts, with three decimals, else %."""
    if value is None or value != value:
        return "–"
    return f"{value:.3f}".replace("-", "−") if name.startswith(("log_loss", "brier")) else percent(value)


def listed(items: list[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


def nth(number: int) -> str:
    """Return ``1st``, ``2nd``, ``11th``."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def slug(name: str) -> str:
    """Return the name of a backbone as a part of a file's name: ``org/model:tag`` is ``org_model_tag``."""
    return name.replace("/", "_").replace(":", "_")
