"""A W&B run per trial and one of the search, kept by a Ray Tune callback: no process per trial, nothing to wait for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.tune import Callback

from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import ACCURACY, Aim
from fer_tune.run_folder import METRICS, SEARCHED, RunFolder, Status
from fer_tune.tracking.mode import Mode
from fer_tune.tracking.names import run_id, tags
from fer_tune.tracking.record import record_search
from fer_tune.tracking.session import Session

if TYPE_CHECKING:
    from ray.tune.experiment import Trial


class WandbCallback(Callback):
    """Records every trial as a W&B run (its settings, its metrics per epoch, how it ended), at the end the search too.

    The search is a sweep, whose runs are the trials: see `fer_tune.tracking.sweep`.
    The run of the search is made from the run folder's tables, so what writes those must come before this callback.

    A trial's config holds the fields of `TrialConfig` and ``origin`` (`SEARCHED`, or the name of a published
    configuration); keys that start with an underscore are left out. A result holds ``epoch``, the names in
    `run_folder.METRICS`, the best value so far (`Aim.best`), ``best_epoch``, ``finished`` and ``reason``; or
    ``error``, where the trial could not be run.

    Tune pickles it: the settings travel, the open runs do not, and a resumed search goes on with the same run ids.

    Args:
        folder: the run folder; what W&B writes lands in its ``wandb/``.
        search: name of the search: the group of its runs.
        dataset: name of the dataset, a tag.
        mode: what `resolve_mode` returned.
        init_timeout: seconds to wait for the server before going on offline.
        aim: what trials are judged by.
        finish_timeout: seconds to wait for uploads when the search ends; `mode.finish_seconds` by default.
    """

    def __init__(
        self,
        folder: Path | str,
        search: str,
        dataset: str,
        mode: Mode,
        *,
        aim: Aim = ACCURACY,
        init_timeout: float = 15.0,
        finish_timeout: float | None = None,
    ) -> None:
        self.search, self._aim = search, aim
        self.dataset = dataset
        self._last: dict[str, dict[str, Any]] = {}  # trial_id -> its newest result, while it runs
        self._rows: dict[str, dict[int, dict[str, Any]]] = {}  # trial_id -> epoch -> row, while it runs
        self._session = Session(Path(folder), mode, init_timeout=init_timeout, finish_timeout=finish_timeout)

    @property
    def warning(self) -> str | None:
        """What went wrong with W&B, if anything did: one line."""
        return self._session.warning

    def get_state(self) -> dict[str, Any]:
        """Return what Tune's snapshots keep: the rows of the running trials, for their runs to begin with."""
        return {"rows": self._rows}

    def set_state(self, state: dict[str, Any]) -> None:
        self._rows = dict(state["rows"])

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._start(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        if "epoch" not in result:
            return
        if trial.trial_id not in self._last:
            self._start(trial)
        self._last[trial.trial_id] = _kept(result, self._aim)
        if result.get("error"):
            return  # no epoch, only why there is none
        row = epoch_row(result, self._aim)
        self._rows[trial.trial_id][row["epoch"]] = row
        self._session.log(self._id(trial), row)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        last = self._newest(trial)
        if last.get(TOO_LARGE):
            self._finish(trial, TOO_LARGE)
            return
        self._finish(trial, "failed" if last.get("error") else "completed" if last.get("finished") else "stopped")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._finish(trial, "failed")

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        for trial in trials:
            if trial.trial_id in self._last:  # Tune ends trials without a word on a time budget or an interrupt
                self._finish(trial, self._left_open(trial))
        run = RunFolder(self._session.folder)
        if run.settings_file.is_file() and run.trials_file.is_file():
            record_search(self._session, run)
            self._session.end_sweep()
        self._session.close()

    def close(self) -> None:
        """End the recording, as at the end of the search; for a driver that leaves by another way. Repeatable."""
        self._session.close()

    def _start(self, trial: Trial) -> None:
        self._session.begin_sweep()
        self._last.setdefault(trial.trial_id, {})
        rows = self._rows.setdefault(trial.trial_id, {})
        config = {name: value for name, value in trial.config.items() if not name.startswith("_")}
        backbone, origin = str(config.get("backbone", "unknown")), str(config.get("origin", SEARCHED))
        self._session.start(
            self._id(trial),
            rows.values(),
            name=f"{backbone} {trial.trial_id}" if origin == SEARCHED else f"{backbone} {origin} {trial.trial_id}",
            group=self.search,
            job_type="trial",
            tags=tags(backbone, self.dataset, origin),
            config=config,
            stats=_on_one_machine(),
        )

    def _finish(self, trial: Trial, status: Status) -> None:
        last = self._newest(trial)
        if trial.trial_id not in self._last:
            self._start(trial)  # it failed before it could start, or ended right where the search was resumed
        del self._last[trial.trial_id]
        self._rows.pop(trial.trial_id, None)
        summary: dict[str, Any] = {"status": status, "epochs": int(last.get("epoch", 0))}
        summary.update({name: last[name] for name in (self._aim.best, "best_epoch") if name in last})
        summary["reason"] = str(last.get("reason") or _REASONS[status])
        if status in ("failed", TOO_LARGE):
            summary["reason"] = _REASONS[status]
            summary["error"] = last.get("error") or _error(trial)
        self._session.finish(self._id(trial), summary, {"failed": 1, TOO_LARGE: 1, "running": 255}.get(status, 0))

    def _newest(self, trial: Trial) -> dict[str, Any]:
        return self._last.get(trial.trial_id) or _kept(getattr(trial, "last_result", None) or {}, self._aim)

    def _left_open(self, trial: Trial) -> Status:
        if self._last[trial.trial_id].get(TOO_LARGE):
            return TOO_LARGE
        if self._last[trial.trial_id].get("error"):
            return "failed"
        if self._last[trial.trial_id].get("finished"):
            return "completed"
        # Tune marks every open trial as TERMINATED at its end, on Ctrl-C as on a time budget.
        return "failed" if getattr(trial, "status", "") == "ERROR" else "running"

    def _id(self, trial: Trial) -> str:
        return run_id(self.search, trial.trial_id)


_REASONS: dict[Status, str] = {
    "completed": "trained to the end",
    "stopped": "stopped early",
    "too_large": "does not fit into memory",
    "failed": "failed",
    "running": "the search ended first",
}


def epoch_row(result: dict[str, Any], aim: Aim = ACCURACY) -> dict[str, Any]:
    """Return what one epoch adds to a run's history, as plain numbers."""
    row: dict[str, Any] = {"epoch": int(result["epoch"])}
    row.update({name: float(result[name]) for name in (*METRICS, aim.best) if result.get(name) is not None})
    if (result.get("parts") or 1) > 1:
        row["parts"] = int(result["parts"])
    if result.get("best_epoch") is not None:
        row["best_epoch"] = int(result["best_epoch"])
    return row


def _on_one_machine() -> bool:
    """Return whether trials run on this machine: of a cluster, W&B would show the head's use for any node's trial."""
    return not ray.is_initialized() or sum(node["Alive"] for node in ray.nodes()) == 1


def _kept(result: dict[str, Any], aim: Aim) -> dict[str, Any]:
    return {
        name: result[name]
        for name in ("epoch", aim.best, "best_epoch", "finished", "reason", "error", TOO_LARGE)
        if result.get(name) is not None
    }


def _error(trial: Trial) -> str:
    """Return the end of the trial's traceback, where the cause is."""
    with suppress(Exception):  # the file can be gone with its node
        if text := str(trial.get_error() or "").strip():
            return text[-2000:]
    return "no error was recorded"
