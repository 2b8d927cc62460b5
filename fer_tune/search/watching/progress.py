"""A running search on screen: a table in place on a terminal, a line per event elsewhere, JSON lines for programs."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from ray.tune import Callback
from rich.console import Console

from fer_tune.amounts import amount
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import ACCURACY, Aim
from fer_tune.search.watching.board import Best, Running, Snapshot, board, in_parts, time_left
from fer_tune.search.watching.output import output
from fer_tune.search.watching.places import Place, has_place, place_of
from fer_tune.search.watching.recorder import why_it_died

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

_EVERY = 0.5  # seconds between two drawings
_KEPT = (
    "epoch",
    "val_accuracy",
    "best_epoch",
    "finished",
    "error",
    "images_per_second",
    "peak_memory_mib",
    "parts",
    TOO_LARGE,
)


class Progress(Callback):
    """Shows trials done, running, stopped early and failed, the best so far and the time left.

    Args:
        total: trials of all backbones.
        epochs: most epochs of one trial.
        concurrent: trials side by side; None: as many as fit, from moment to moment.
        time_budget: seconds, or None.
        per_trial: CPUs and GPUs of a trial, all of its workers together.
        aim: what trials are judged by.
    """

    def __init__(
        self,
        total: int,
        epochs: int,
        concurrent: int | None,
        time_budget: float | None,
        per_trial: tuple[float, float] = (0.0, 0.0),
        aim: Aim = ACCURACY,
    ) -> None:
        self._per_trial, self._aim = per_trial, aim
        self._total, self._epochs, self._concurrent, self._budget = total, epochs, concurrent, time_budget
        self._running = 0  # trials
        self._ended: dict[str, str] = {}  # trial id -> how it ended
        self._failures: dict[str, str] = {}  # trial id -> why
        self._seconds: dict[str, float] = {}  # trial id -> seconds of all its epochs
        self._last: dict[str, dict[str, Any]] = {}  # trial id -> its last result
        self._best: dict[str, tuple[float, str, str, int]] = {}  # backbone -> value, trial id, origin, epoch
        self._began = time.monotonic()
        self._before = 0.0  # seconds spent before a resume
        self._drawn = 0.0
        self._place: Place | None = None
        self._console = Console(highlight=False, soft_wrap=True)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_place", "_console")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._place, self._console, self._began = None, Console(highlight=False, soft_wrap=True), time.monotonic()

    def get_state(self) -> dict[str, Any]:
        """What Tune saves."""
        kept = {name: getattr(self, name) for name in ("_ended", "_failures", "_seconds", "_last", "_best")}
        return {**kept, "_before": self._elapsed()}

    def set_state(self, state: dict[str, Any]) -> None:
        """What Tune restores."""
        self.__dict__.update(state)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Take up an epoch."""
        name = trial.trial_id
        self._last[name] = {key: result.get(key) for key in (*_KEPT, self._aim.column, self._aim.best)}
        self._seconds[name] = self._seconds.get(name, 0.0) + float(result.get("seconds", 0.0))
        backbone, value = trial.config["backbone"], result.get(self._aim.best)
        if value is not None and self._aim.better(value, self._best.get(backbone, (math.nan,))[0]):
            self._best[backbone] = (value, name, trial.config["origin"], int(result["best_epoch"]))
        if output() == "json" and not result.get("error"):
            self._tell("epoch", trial)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Take up the end of a trial."""
        last = self._last.get(trial.trial_id, {})
        how = "completed" if last.get("finished") else "stopped early"
        if last.get("error"):
            how = "too large" if last.get(TOO_LARGE) else "failed"
        self._end(trial, how, last.get("error"))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Take up a trial whose process died too often."""
        self._end(trial, "failed", why_it_died(trial))

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Draw now and then."""
        self._running = sum(trial.status == "RUNNING" for trial in trials)
        if not self._in_place() or time.monotonic() - self._drawn < _EVERY:
            return
        self._drawn = time.monotonic()
        self._place = self._place or place_of(self._console)
        self._place.show(board(self.snapshot(trials)))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Leave the terminal as it was."""
        if self._place is not None:
            self._place.show(board(self.snapshot(trials)))
            self._place.close()
            self._place = None

    def snapshot(self, trials: list[Trial]) -> Snapshot:
        """Return what the table shows."""
        running = [trial for trial in trials if trial.status == "RUNNING" and trial.trial_id not in self._ended]
        lasts = [(trial, self._last.get(trial.trial_id, {})) for trial in running]
        ended = list(self._ended.values())
        return Snapshot(
            total=self._total,
            epochs=self._epochs,
            completed=ended.count("completed"),
            stopped=ended.count("stopped early"),
            failures=[f"{name}: {why}" for name, why in self._failures.items() if self._ended[name] == "failed"],
            running=[
                Running(
                    trial.trial_id,
                    trial.config["backbone"],
                    trial.config["origin"],
                    last.get("epoch") or 0,
                    last.get(self._aim.column),
                )
                for trial, last in lasts
            ],
            best=[
                Best(backbone, value, name, origin, epoch)
                for backbone, (value, name, origin, epoch) in self._best.items()
            ],
            seconds=self._elapsed(),
            left=self._left(),
            rate=sum(last.get("images_per_second") or 0.0 for _, last in lasts),
            cpus=len(running) * self._per_trial[0],
            gpus=len(running) * self._per_trial[1],
            memory_mib=max((last.get("peak_memory_mib") or 0.0 for _, last in lasts), default=0.0),
            notes=self._waiting(trials),
            aim=self._aim,
            too_large=ended.count("too large"),
        )

    def _waiting(self, trials: list[Trial]) -> list[str]:
        """While nothing runs: tell that trials are about to, or, where the cluster decides, wait for a place."""
        if any(trial.status == "RUNNING" for trial in trials):
            return []
        if self._concurrent is not None:
            return [] if self._ended else ["starting: the workers load Python and PyTorch, some seconds"]
        waiting = sum(trial.status == "PENDING" for trial in trials)
        return [f"{amount(waiting, 'trial')} waiting for a place on the cluster"] if waiting else []

    def _in_place(self) -> bool:
        return output() == "text" and has_place(self._console)

    def _end(self, trial: Trial, how: str, error: str | None) -> None:
        name = trial.trial_id
        self._ended[name] = how
        if how in ("failed", "too large"):
            self._failures[name] = (error or "no reason is known").splitlines()[0]
        if output() == "json":
            self._tell("end", trial, status=how, error=error)
        elif output() == "text" and not self._in_place():
            self._console.print(self._line(trial, how), markup=False)

    def _line(self, trial: Trial, how: str) -> str:
        name, last = trial.trial_id, self._last.get(trial.trial_id, {})
        text = f"[{len(self._ended)}/{self._total}] {name} {trial.config['backbone']} {trial.config['origin']}: {how}"
        if how in ("failed", "too large"):
            text += f": {self._failures[name]}"
        elif last:
            best_so_far = self._aim.text(last.get(self._aim.best))
            text += f" after {amount(last.get('epoch') or 0, 'epoch')}, best {self._aim.head} {best_so_far}"
            text += in_parts(last.get("parts"))
        best = self._best.get(trial.config["backbone"])
        if best:
            text += f" | best {self._aim.text(best[0])} ({best[1]}) | {time_left(self._left())}"
        return text

    def _tell(self, event: str, trial: Trial, **more: Any) -> None:
        last = self._last.get(trial.trial_id, {})
        facts = {
            "event": event,
            "trial_id": trial.trial_id,
            "backbone": trial.config["backbone"],
            "origin": trial.config["origin"],
            **{name: last.get(name) for name in ("epoch", "val_accuracy", self._aim.column, self._aim.best)},
            **more,
        }
        print(json.dumps(facts), flush=True)

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._began

    def _left(self) -> float | None:
        """Estimate from the mean time of the trials that have ended; bounded by the time budget."""
        left = None
        if self._ended:
            mean = sum(self._seconds.get(name, 0.0) for name in self._ended) / len(self._ended)
            left = mean * (self._total - len(self._ended)) / (self._concurrent or max(1, self._running))
        if self._budget is not None:
            rest = max(0.0, self._budget - (time.monotonic() - self._began))
            left = rest if left is None else min(left, rest)
        return left
