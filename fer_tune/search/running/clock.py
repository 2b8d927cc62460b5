"""How long a search has run, over all its resumes: what is left of its time budget."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from fer_tune.filing.files import write_json
from fer_tune.storage.moved import where_now

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

    from fer_tune.run_folder import RunFolder

_EVERY = 5.0  # seconds between two notes: what a driver that is killed gets for nothing


def seconds_spent(run: RunFolder) -> float:
    """Return how long a search has run so far, in seconds."""
    try:
        return float(json.loads(run.clock_file.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0  # it never came as far


def note_seconds(run: RunFolder, seconds: float) -> None:
    """Note how long a search has run in all; never less, so that a budget that is spent reads as spent."""
    write_json({"seconds": math.ceil(10 * seconds) / 10}, run.clock_file)


class Clock(Callback):
    """Notes in the run folder how long the search has run."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._before = self._began = self._noted = -1.0

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _run=where_now(state["_run"]), _began=-1.0)

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Start, where it does not run yet."""
        if self._began < 0:
            self._before, self._began = seconds_spent(self._run), time.monotonic()
            self._noted = self._began

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Note the time now and then."""
        if time.monotonic() - self._noted > _EVERY:
            self._note()

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Note the time a last time."""
        if self._began >= 0:
            self._note()

    def _note(self) -> None:
        self._noted = time.monotonic()
        note_seconds(self._run, self._before + self._noted - self._began)
