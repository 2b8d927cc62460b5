"""Asynchronous successive halving on epochs, apart for each backbone, that survives a resume."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.tune.schedulers import TrialScheduler

from fer_tune.objectives import ACCURACY, Aim
from fer_tune.search.stopping_early.fresh import FreshProcesses, to_its_end

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial


class Bracket:
    """Rungs, and what each trial had when it came to one.

    Args:
        first: epoch of the lowest rung.
        epochs: most epochs of one trial; there is no rung beyond.
        reduction_factor: from a rung to the next one.
    """

    def __init__(self, first: int, epochs: int, reduction_factor: int) -> None:
        self._share = 1 - 1 / reduction_factor  # of the trials at a rung that end there
        self.rungs: list[tuple[int, dict[str, float]]] = []  # (epoch, trial id -> value there), highest first
        while first <= epochs:
            self.rungs.insert(0, (first, {}))
            first *= reduction_factor

    def stops(self, trial_id: str, epoch: int, value: float) -> bool:
        """Record a trial at the highest rung it has come to, once, and return whether it ends there.

        Args:
            trial_id: of the trial.
            epoch: it has trained for.
            value: its best so far; more is better.
        """
        reached = next((recorded for at, recorded in self.rungs if epoch >= at), None)
        if reached is None or trial_id in reached:
            return False
        others = [value for value in reached.values() if not math.isnan(value)]
        reached[trial_id] = value
        return bool(others) and value < float(np.percentile(others, 100 * self._share))


class BackboneASHA(FreshProcesses):
    """Asynchronous successive halving (Li et al. 2020): trials are compared with those of their own backbone only.

    At the rungs ``grace_period * reduction_factor ** k`` a trial goes on if its best value so far, by its objective, is
    among the top ``1 / reduction_factor`` that reached the rung.  Trials that reach ``epochs`` end by themselves.

    With several brackets a trial belongs to one, and is compared with those of that one; bracket ``s`` has its first
    rung at ``grace_period * reduction_factor ** s``, for settings that start slowly.  As in Ray, a bracket gets trials
    in proportion to e to the power of its number of rungs; but in turn, not at random, so that a seed repeats them.

    It decides as Ray's ``AsyncHyperBandScheduler`` does, whose rungs cannot be reached from outside: neither could they
    be kept apart by backbone, nor carried through a resume.
    """

    def __init__(
        self,
        backbones: list[str],
        epochs: int,
        grace_period: int,
        reduction_factor: int,
        brackets: int = 1,
        aim: Aim = ACCURACY,
    ) -> None:
        super().__init__()
        self._aim = aim
        first = min(grace_period, epochs)
        self._brackets_of = {
            backbone: [Bracket(first * reduction_factor**index, epochs, reduction_factor) for index in range(brackets)]
            for backbone in backbones
        }
        self._bracket_of: dict[str, int] = {}  # trial id -> index of its bracket
        self._counts = {backbone: [0] * brackets for backbone in backbones}  # trials of each bracket

    def on_trial_add(self, tune_controller: TuneController | None, trial: Trial) -> None:
        """Put the trial under a bracket of its backbone; one added again by a resume finds its old records there."""
        super().on_trial_add(tune_controller, trial)
        self._bracket(trial)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Decide at a rung; the bracket is looked up again, since a resume may bring it back after the trial."""
        return TrialScheduler.STOP if self._stops(trial, result) else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> None:
        """Take up the trial's last result."""
        self._stops(trial, result)
        super().on_trial_complete(tune_controller, trial, result)

    def rungs(self) -> dict[str, list[tuple[int, dict[str, float]]]]:
        """Return backbone -> [(epoch, trial_id -> best value there, more is better)], by bracket, the highest first."""
        return {
            name: [(epoch, dict(records)) for bracket in brackets for epoch, records in bracket.rungs]
            for name, brackets in self._brackets_of.items()
        }

    def known(self) -> dict[str, Any]:
        """Return the rungs, and which bracket each trial belongs to."""
        rungs = {name: [bracket.rungs for bracket in brackets] for name, brackets in self._brackets_of.items()}
        return {"rungs": rungs, "bracket_of": dict(self._bracket_of), "counts": self._counts}

    def take_up(self, known: dict[str, Any]) -> None:
        """Take up what :meth:`known` returned; of a search that goes on with more epochs there are more rungs now."""
        for name, brackets in known["rungs"].items():
            for bracket, rungs in zip(self._brackets_of[name], brackets, strict=True):
                records = dict(rungs)
                bracket.rungs = [(epoch, dict(records.get(epoch, recorded))) for epoch, recorded in bracket.rungs]
        self._bracket_of = dict(known["bracket_of"])
        self._counts = {name: list(counts) for name, counts in known["counts"].items()}

    def shares(self) -> list[float]:
        """Return the share of the trials that each bracket gets."""
        weights = [math.exp(len(bracket.rungs)) for bracket in next(iter(self._brackets_of.values()))]
        return [weight / sum(weights) for weight in weights]

    def _stops(self, trial: Trial, result: dict[str, Any]) -> bool:
        if "epoch" not in result or self._aim.best not in result:
            return False
        value = self._aim.signed(float(result[self._aim.best]))
        stops = self._bracket(trial).stops(trial.trial_id, int(result["epoch"]), value)
        return stops and not to_its_end(trial)

    def _bracket(self, trial: Trial) -> Bracket:
        backbone = trial.config["backbone"]
        if trial.trial_id not in self._bracket_of:
            index = self._next(backbone)
            self._bracket_of[trial.trial_id] = index
            self._counts[backbone][index] += 1
        return self._brackets_of[backbone][self._bracket_of[trial.trial_id]]

    def _next(self, backbone: str) -> int:
        """Return the bracket that lags furthest behind its share."""
        counts = self._counts[backbone]
        owed = [(sum(counts) + 1) * share for share in self.shares()]
        return max(range(len(counts)), key=lambda index: owed[index] - counts[index])
