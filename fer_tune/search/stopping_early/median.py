"""The median stopping rule, apart for each backbone, that survives a resume."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import TrialScheduler

from fer_tune.objectives import ACCURACY, Aim
from fer_tune.search.stopping_early.fresh import FreshProcesses, to_its_end

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

NEEDED = 3
"""Other trials that must have come as far before any is stopped; the default of Ray's rule."""


class BackboneMedian(FreshProcesses):
    """Stops a trial whose best value so far, by its objective, is worse than the median of the others' running means.

    The rule of Golovin et al. (2017), section 3.2.2: at an epoch, a trial's best value by then is compared with the
    median of the means that other trials had over their epochs up to it.  As in Ray's ``MedianStoppingRule``, the
    others are all those that have come as far, whether they have ended or not, and means begin at the grace period.
    Unlike it: the others are of the same backbone; the mean is over each epoch's value, the best only for the trial
    judged; nothing is ever paused (Ray pauses while there is too little to compare with); and it can be carried
    through a resume, where Ray's keeps its memory by trial objects that are not brought back.
    """

    def __init__(self, grace_period: int, aim: Aim = ACCURACY) -> None:
        super().__init__()
        self._grace, self._aim = grace_period, aim
        self._seen: dict[str, dict[str, dict[int, float]]] = {}  # backbone -> trial id -> epoch -> `Aim.signed`

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Take up an epoch, and stop the trial if it falls short."""
        epoch, value = int(result.get("epoch", 0)), self._aim.signed(float(result.get(self._aim.column, math.nan)))
        if epoch < 1 or not math.isfinite(value):
            return TrialScheduler.CONTINUE
        trials = self._seen.setdefault(trial.config["backbone"], {})
        own = trials.setdefault(trial.trial_id, {})
        own[epoch] = value
        if epoch < self._grace or result.get("finished"):
            return TrialScheduler.CONTINUE
        means = [
            statistics.fmean(value for at, value in epochs.items() if self._grace <= at <= epoch)
            for name, epochs in trials.items()
            if name != trial.trial_id and max(epochs) >= epoch
        ]
        best = self._aim.signed(float(result[self._aim.best]))
        if to_its_end(trial) or len(means) < NEEDED or best >= statistics.median(means):
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP

    def known(self) -> dict[str, Any]:
        """Return every value seen."""
        return {"seen": self._seen}

    def take_up(self, known: dict[str, Any]) -> None:
        """Take up what :meth:`known` returned."""
        self._seen = known["seen"]
