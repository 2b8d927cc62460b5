"""A fresh process for the next trial, where the last one of a reused process tells that it is worn out.

Tune reuses a trial's process without asking anyone.  A scheduler hears of every trial that ends just before, and so can
have its process ended, see `ray_internals.retire`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import FIFOScheduler

from fer_tune.ray_internals import at_home, retire
from fer_tune.run_folder import RANDOM
from fer_tune.training.memory.leftover import WORN_OUT

if TYPE_CHECKING:
    from ray.tune import PlacementGroupFactory
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial


def to_its_end(trial: Trial) -> bool:
    """Return whether a trial is never stopped: those drawn at random tell what settings do to the end of training."""
    return bool(trial.config.get("origin") == RANDOM)


class FreshProcesses(FIFOScheduler):
    """Runs every trial to its end, and none after it in a process that is worn out; a base for other schedulers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # Ray's
        self.resources: PlacementGroupFactory | None = None  # of every trial

    def on_trial_add(self, tune_controller: TuneController | None, trial: Trial) -> None:
        """Have a trial use the folder and the resources of now; after a resume it knows those that it began with."""
        if tune_controller is not None:  # in tests of schedulers alone
            at_home(tune_controller, trial)
        if self.resources is not None and trial.status == "PENDING":
            trial.update_resources(self.resources)

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """Have the process ended, not reused, if the trial's last result says so."""
        super().on_trial_complete(tune_controller, trial, result)
        if result.get(WORN_OUT):
            retire(tune_controller, trial)
