"""Asynchronous successive halving on epochs, apart for each backbone, that survives a resume."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import AsyncHyperBandScheduler
from ray.tune.schedulers.async_hyperband import _Bracket

from fer_tune.search.stopping_early.fresh import FreshProcesses

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial


class BackboneASHA(FreshProcesses, AsyncHyperBandScheduler):
    """Asynchronous successive halving (Li et al. 2020): trials are compared with those of their own backbone only.

    At the rungs ``grace_period * reduction_factor ** k`` a trial goes on if its best validation accuracy so far is
    among the top ``1 / reduction_factor`` that reached the rung.  Trials that reach ``epochs`` end by themselves.

    With several brackets a trial belongs to one, and is compared with those of that one; bracket ``s`` has its first
    rung at ``grace_period * reduction_factor ** s``, for settings that start slowly.  As in Ray, a bracket gets trials
    in proportion to e to the power of its number of rungs; but in turn, not at random, so that a seed repeats them.
    """

    def __init__(
        self, backbones: list[str], epochs: int, grace_period: int, reduction_factor: int, brackets: int = 1
    ) -> None:
        super().__init__(
            time_attr="epoch",  # not training_iteration, which starts again after a restore
            max_t=epochs,
            grace_period=min(grace_period, epochs),
            reduction_factor=reduction_factor,
            stop_last_trials=False,
        )
        self._brackets_of = {
            backbone: [
                _Bracket(min(grace_period, epochs), epochs, reduction_factor, index, stop_last_trials=False)
                for index in range(brackets)
            ]
            for backbone in backbones
        }
        self._bracket_of: dict[str, int] = {}  # trial id -> index of its bracket
        self._counts = {backbone: [0] * brackets for backbone in backbones}  # trials of each bracket

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Put the trial under a bracket of its backbone; one added again by a resume finds its old records there."""
        backbone = trial.config["backbone"]
        if trial.trial_id not in self._bracket_of:
            index = self._next(backbone)
            self._bracket_of[trial.trial_id] = index
            self._counts[backbone][index] += 1
        self._trial_info[trial.trial_id] = self._brackets_of[backbone][self._bracket_of[trial.trial_id]]

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Decide at a rung; its bracket is looked up again, since a resume may bring that back after the trial."""
        self.on_trial_add(tune_controller, trial)
        return str(super().on_trial_result(tune_controller, trial, result))

    def rungs(self) -> dict[str, list[tuple[int, dict[str, float]]]]:
        """Return backbone -> [(epoch, trial_id -> best validation accuracy there)], by bracket, highest rung first."""
        return {
            name: [(int(epoch), dict(records)) for bracket in brackets for epoch, records in bracket._rungs]
            for name, brackets in self._brackets_of.items()
        }

    def known(self) -> dict[str, Any]:
        """Return the rungs, and which bracket each trial belongs to."""
        return {"rungs": self.rungs(), "bracket_of": dict(self._bracket_of), "counts": self._counts}

    def take_up(self, known: dict[str, Any]) -> None:
        """Take up what :meth:`known` returned."""
        for name, records in known["rungs"].items():
            rungs = iter(records)
            for bracket in self._brackets_of[name]:
                own = islice(rungs, len(bracket._rungs))
                bracket._rungs = [(epoch, dict(recorded)) for epoch, recorded in own]
        self._bracket_of = dict(known["bracket_of"])
        self._counts = {name: list(counts) for name, counts in known["counts"].items()}

    def shares(self) -> list[float]:
        """Return the share of the trials that each bracket gets."""
        weights = [math.exp(len(bracket._rungs)) for bracket in next(iter(self._brackets_of.values()))]
        return [weight / sum(weights) for weight in weights]

    def _next(self, backbone: str) -> int:
        """Return the bracket that lags furthest behind its share."""
        counts = self._counts[backbone]
        owed = [(sum(counts) + 1) * share for share in self.shares()]
        return max(range(len(counts)), key=lambda index: owed[index] - counts[index])
