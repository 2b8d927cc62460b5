"""What a person sees of a running search: a table in place on a terminal, a line per event elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray.tune import Callback
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fer_tune.search.scheduler import METRIC

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

_EVERY = 0.5  # seconds between two drawings


class Progress(Callback):
    """Shows trials done, running, stopped early and failed, the best so far and the time left.

    Args:
        total: trials of all backbones.
        epochs: most epochs of one trial.
        concurrent: trials side by side.
        time_budget: seconds, or None.
    """

    def __init__(self, total: int, epochs: int, concurrent: int, time_budget: float | None) -> None:
        self._total, self._epochs, self._concurrent, self._budget = total, epochs, concurrent, time_budget
        self._ended: dict[str, str] = {}  # trial id -> how it ended
        self._seconds: dict[str, float] = {}  # trial id -> seconds of all its epochs
        self._last: dict[str, dict[str, Any]] = {}  # trial id -> its last result
        self._best: dict[str, tuple[float, str, str, int]] = {}  # backbone -> accuracy, trial id, origin, epoch
        self._began = time.monotonic()
        self._before = 0.0  # seconds spent before a resume
        self._drawn = 0.0
        self._live: Live | None = None
        self._console = Console(highlight=False, soft_wrap=True)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_live", "_console")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._live, self._console, self._began = None, Console(highlight=False, soft_wrap=True), time.monotonic()

    def get_state(self) -> dict[str, Any]:
        """What Tune saves."""
        kept = {name: getattr(self, name) for name in ("_ended", "_seconds", "_last", "_best")}
        return {**kept, "_before": self._elapsed()}

    def set_state(self, state: dict[str, Any]) -> None:
        """What Tune restores."""
        self.__dict__.update(state)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Take up an epoch."""
        name = trial.trial_id
        self._last[name] = {
            key: result.get(key) for key in ("epoch", METRIC, "val_accuracy", "best_epoch", "finished", "error")
        }
        self._seconds[name] = self._seconds.get(name, 0.0) + float(result.get("seconds", 0.0))
        backbone, value = trial.config["backbone"], result.get(METRIC)
        if value is not None and value > self._best.get(backbone, (-1.0,))[0]:
            self._best[backbone] = (value, name, trial.config["origin"], int(result["best_epoch"]))

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Take up the end of a trial."""
        last = self._last.get(trial.trial_id, {})
        how = "failed" if last.get("error") else "completed" if last.get("finished") else "stopped early"
        self._end(trial, how, last.get("error"))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Take up a trial whose process died too often."""
        self._end(trial, "failed", "its process died")

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Draw now and then."""
        if not self._console.is_terminal or time.monotonic() - self._drawn < _EVERY:
            return
        self._drawn = time.monotonic()
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self.table(trials), refresh=True)

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def table(self, trials: list[Trial]) -> Group:
        """The live table, for 80 columns."""
        running = [trial for trial in trials if trial.status == "RUNNING" and trial.trial_id not in self._ended]
        shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("running", "backbone", "origin", "epoch", "val acc"):
            shown.add_column(column, header_style="bold", justify="right" if column in ("epoch", "val acc") else "left")
        for trial in running[:12]:
            last = self._last.get(trial.trial_id, {})
            shown.add_row(
                trial.trial_id,
                trial.config["backbone"],
                trial.config["origin"],
                f"{last.get('epoch') or 0}/{self._epochs}",
                _percent(last.get("val_accuracy")),
            )
        if len(running) > 12:
            shown.add_row(f"and {len(running) - 12} more")
        return Group(Text(self._headline(len(running))), *[Text(line) for line in self._best_lines()], shown)

    def _end(self, trial: Trial, how: str, error: str | None) -> None:
        name = trial.trial_id
        self._ended[name] = how
        if self._console.is_terminal:
            return
        last = self._last.get(name, {})
        text = f"[{len(self._ended)}/{self._total}] {name} {trial.config['backbone']} {trial.config['origin']}: {how}"
        if error:
            text += f": {error.splitlines()[0]}"
        elif last:
            text += f" after {last.get('epoch')} epochs, best val acc {_percent(last.get(METRIC))}"
        best = self._best.get(trial.config["backbone"])
        if best:
            text += f" | best {_percent(best[0])} ({best[1]}) | {self._time_left()}"
        self._console.print(text, markup=False)

    def _headline(self, running: int) -> str:
        ended = list(self._ended.values())
        parts = [
            f"trials {len(ended)}/{self._total}",
            f"running {running}",
            f"completed {ended.count('completed')}",
            f"stopped early {ended.count('stopped early')}",
        ]
        if failed := ended.count("failed"):
            parts.append(f"failed {failed}")
        return "  ".join(parts) + f"\n{_clock(self._elapsed())} elapsed, {self._time_left()}"

    def _best_lines(self) -> list[str]:
        return [
            f"best {backbone}: {_percent(value)} val acc, trial {name} ({origin}), epoch {epoch}"
            for backbone, (value, name, origin, epoch) in self._best.items()
        ]

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._began

    def _time_left(self) -> str:
        """Estimated from the mean time of the trials that have ended; bounded by the time budget."""
        left = None
        if self._ended:
            mean = sum(self._seconds.get(name, 0.0) for name in self._ended) / len(self._ended)
            left = mean * (self._total - len(self._ended)) / self._concurrent
        if self._budget is not None:
            rest = max(0.0, self._budget - (time.monotonic() - self._began))
            left = rest if left is None else min(left, rest)
        return "time left unknown yet" if left is None else f"about {_clock(left)} left"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
