"""What of a resume's options will do nothing, in words, as `idle` has it of a search's."""

from __future__ import annotations

from fer_tune.door import option
from fer_tune.run_folder import SearchSettings
from fer_tune.search.options import ResumeOptions

_OF_TRIALS = ("cpus_per_trial", "gpus_per_trial", "concurrent", "checkpoint_every")
"""What holds for trials that go on or begin, and for nothing where none is left."""

_NAMES = {"time_budget_seconds": "time_budget"}
"""Fields that are called otherwise than their options."""


def idle_at_resume(asked: ResumeOptions, settings: SearchSettings, left: int, failed: int) -> dict[str, str]:
    """Return a sentence for each option that changes nothing, by the name of its field.

    Args:
        asked: what a resume is to change.
        settings: of the search before it.
        left: trials that have not ended, those that this resume adds among them.
        failed: trials that ``--retry-failed`` tries again.
    """
    found = {}
    resized = False
    for name in ("trials", "epochs", "cpus_per_trial", "gpus_per_trial", "checkpoint_every"):
        value = getattr(asked, name)
        if value is not None and value == getattr(settings, name):
            found[name] = "is what the search has already, so it changes nothing"
        elif value is not None and name in ("cpus_per_trial", "gpus_per_trial"):
            resized = True
    if asked.concurrent is not None and asked.concurrent == settings.concurrent and not resized:
        found["concurrent"] = "is what the search has already, so it changes nothing"
    if asked.data is not None and str(asked.data) == settings.dataset.path:
        found["data"] = "is where the search has its dataset already, so it changes nothing"
    if asked.retry_failed and not failed:
        found["retry_failed"] = "no trial failed that was not tried again, so it tries none"
    if not left:
        for name in (*_OF_TRIALS, "time_budget_seconds"):
            if getattr(asked, name) is not None:
                found[name] = "all trials have ended, so there is none that it holds for; --trials adds some"
    return {name: f"{_called(name, asked)}: {told}" for name, told in found.items()}


def more_than_left(asked: ResumeOptions, left: int) -> list[str]:
    """Return a sentence where more trials are to run side by side than are left."""
    if asked.concurrent is None or not left or asked.concurrent <= left:
        return []
    there = "one trial is" if left == 1 else f"{left} trials are"
    return [f"--concurrent {asked.concurrent}: {there} left; no more run side by side"]


def _called(name: str, asked: ResumeOptions) -> str:
    value = getattr(asked, name)
    shown = "" if name == "retry_failed" else f" {value:g}" if isinstance(value, int | float) else f" {value}"
    unit = " s" if name in ("time_budget_seconds", "checkpoint_every") else ""
    return f"{option(_NAMES.get(name, name))}{shown}{unit}"
