"""ASHA on epochs, one set of rungs per backbone, that survives a resume.

Tune does not save its scheduler.  After a restore the rungs of stock ASHA are empty, late results of resumed trials
fill the lowest ones, and nearly every new trial is stopped at its first epoch (measured with Ray 2.60).  Here a
callback, whose state Tune does save, carries the rungs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.tune import Callback
from ray.tune.schedulers import AsyncHyperBandScheduler
from ray.tune.schedulers.async_hyperband import _Bracket

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

METRIC = "best_val_accuracy"


class BackboneASHA(AsyncHyperBandScheduler):
    """Asynchronous successive halving (Li et al. 2020): trials are compared with those of their own backbone only.

    At the rungs ``grace_period * reduction_factor ** k`` a trial goes on if its best validation accuracy so far is
    among the top ``1 / reduction_factor`` that reached the rung.  Trials that reach ``epochs`` end by themselves.
    """

    def __init__(self, backbones: list[str], epochs: int, grace_period: int, reduction_factor: int) -> None:
        super().__init__(
            time_attr="epoch",  # not training_iteration, which starts again after a restore
            max_t=epochs,
            grace_period=min(grace_period, epochs),
            reduction_factor=reduction_factor,
            stop_last_trials=False,
        )
        self._rungs_of = {
            backbone: _Bracket(min(grace_period, epochs), epochs, reduction_factor, 0, stop_last_trials=False)
            for backbone in backbones
        }

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Put the trial under its backbone's rungs; a trial added again by a resume finds its old records there."""
        self._trial_info[trial.trial_id] = self._rungs_of[trial.config["backbone"]]

    def rungs(self) -> dict[str, list[tuple[int, dict[str, float]]]]:
        """Return backbone -> [(epoch, trial_id -> best validation accuracy there)], highest rung first."""
        return {name: [(int(e), dict(r)) for e, r in bracket._rungs] for name, bracket in self._rungs_of.items()}

    def restore_rungs(self, rungs: dict[str, list[tuple[int, dict[str, float]]]]) -> None:
        """Take up what :meth:`rungs` returned."""
        for name, records in rungs.items():
            self._rungs_of[name]._rungs = [(epoch, dict(recorded)) for epoch, recorded in records]


class KeepRungs(Callback):
    """Carries the rungs through Tune's snapshots; it must be pickled together with the scheduler that it names."""

    def __init__(self, scheduler: BackboneASHA) -> None:
        self._scheduler = scheduler

    def get_state(self) -> dict[str, Any]:
        """What Tune saves."""
        return {"rungs": self._scheduler.rungs()}

    def set_state(self, state: dict[str, Any]) -> None:
        """What Tune restores."""
        self._scheduler.restore_rungs(state["rungs"])
