"""Writes trials.parquet and epochs.parquet while a search runs: a Tune callback in the driver."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from fer_tune.filing.tables import write_table
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import ACCURACY, OBJECTIVES, Aim
from fer_tune.run_folder import EPOCH_COLUMNS, METRICS, RECALLS, TRIAL_COLUMNS, RunFolder, Status
from fer_tune.search.proposing.objectives import typical_seconds
from fer_tune.storage.moved import where_now

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

_MEASURED = tuple(aim.column for aim in OBJECTIVES.values() if aim.measured)  # where they are objectives
_EVERY = 5.0  # seconds between two writes of the tables


class Recorder(Callback):
    """Keeps a row per trial and a row per trial and epoch.

    Its rows are part of Tune's snapshots, so after a resume the tables agree with what Tune goes on with.
    """

    def __init__(self, run: RunFolder, aim: Aim = ACCURACY) -> None:
        self._run, self._aim = run, aim
        self._trials: dict[str, dict[str, Any]] = {}
        self._epochs: dict[str, dict[int, dict[str, Any]]] = {}
        self._written = 0.0
        self._changed = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _run=where_now(state["_run"]))

    def get_state(self) -> dict[str, Any]:
        """What Tune saves."""
        return {"trials": self._trials, "epochs": self._epochs}

    def set_state(self, state: dict[str, Any]) -> None:
        """What Tune restores."""
        self._trials, self._epochs = state["trials"], state["epochs"]
        self._changed = True

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Open the trial's row, or open it again: how it ended before is not how it ends."""
        self._row(trial).update(status="running", error=None)
        self._changed = True

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Add an epoch; an epoch that a retried trial reports again replaces the first."""
        row = self._row(trial)
        self._changed = True
        if result.get("error"):
            row |= {"error": str(result["error"]), TOO_LARGE: bool(result.get(TOO_LARGE))}
            return
        row |= {"error": None, TOO_LARGE: False}
        epoch = int(result["epoch"])
        epochs = self._epochs[trial.trial_id]
        for later in [known for known in epochs if known > epoch]:
            del epochs[later]
        epochs[epoch] = {
            "trial_id": trial.trial_id,
            "backbone": row["backbone"],
            "epoch": epoch,
            **{name: float(result[name]) for name in METRICS},
            **{name: result[name] for name in (*RECALLS, "parts", "computed_in")},
        }
        row["finished"] = bool(result.get("finished"))
        row |= {name: result[name] for name in _MEASURED if name in result}

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Close the row: completed, stopped early, too large, or failed with a reason."""
        row = self._row(trial)
        if row.get(TOO_LARGE):
            self._close(row, TOO_LARGE)
            return
        self._close(row, "failed" if row.get("error") else "completed" if row.get("finished") else "stopped")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Close the row of a trial whose process died too often."""
        row = self._row(trial)
        row["error"] = why_it_died(trial)
        self._close(row, "failed")

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Write the tables now and then."""
        if self._changed and time.monotonic() - self._written > _EVERY:
            self.write()

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Write the tables a last time."""
        self.write()

    def write(self) -> None:
        """Write both tables, each in one step."""
        rows = [self._summary(trial_id) for trial_id in self._trials]
        write_table(rows, TRIAL_COLUMNS, self._run.trials_file)
        epochs = [by_epoch[epoch] for by_epoch in self._epochs.values() for epoch in sorted(by_epoch)]
        write_table(epochs, EPOCH_COLUMNS, self._run.epochs_file)
        self._written, self._changed = time.monotonic(), False

    def _row(self, trial: Trial) -> dict[str, Any]:
        if trial.trial_id not in self._trials:
            config = {f"config.{name}": value for name, value in trial.config.items() if name != "origin"}
            self._trials[trial.trial_id] = {
                "trial_id": trial.trial_id,
                "backbone": trial.config["backbone"],
                "origin": trial.config["origin"],
                "status": "running",
                "error": None,
                **config,
            }
            self._epochs[trial.trial_id] = {}
            self._changed = True
        return self._trials[trial.trial_id]

    def _close(self, row: dict[str, Any], status: Status) -> None:
        row["status"] = status
        self._changed = True

    def _summary(self, trial_id: str) -> dict[str, Any]:
        row = {name: value for name, value in self._trials[trial_id].items() if name not in ("finished", TOO_LARGE)}
        epochs = list(self._epochs[trial_id].values())
        row["epochs"] = len(epochs)
        if epochs:
            best = max(epochs, key=lambda epoch: (self._aim.key(epoch[self._aim.column]), -epoch["epoch"]))
            row |= {name: best[name] for name in TRIAL_COLUMNS if name in METRICS}
            row["best_epoch"] = best["epoch"]
            row["seconds"] = sum(epoch["seconds"] for epoch in epochs)
            row["epoch_seconds"] = typical_seconds([epoch["seconds"] for epoch in epochs])
            row |= {name: epochs[-1][name] for name in ("parts", "computed_in")}
            row["images_per_second"] = sum(epoch["images_per_second"] for epoch in epochs) / len(epochs)
        return row


def why_it_died(trial: Trial) -> str:
    """Return the last line of what Tune knows of a trial whose process died too often."""
    lines = [line for line in str(trial.get_error() or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "its process died"
