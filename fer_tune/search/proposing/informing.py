"""What trials of earlier runs tell a sampler of settings, although their networks were others.

To the Gaussian process they are searches of their own, as near to this one as the trials of both say.  TPE splits
trials into good ones and the rest, and draws what good ones have and the rest have not; for it, earlier trials are
counted among those of the search.  Either is told what they beat in their own search, since accuracies on different
faces say nothing about each other.  For TPE they fade, as Optuna's weights have old trials fade: for each trial of the
search that has ended, one of each earlier search goes.

Runs of the same backbone lend their best settings as first trials instead (`warm_start`).  Replayed on recorded
learning curves of other networks, the Gaussian process takes half of the epochs of a search that knows nothing with
either, or fewer, and both together are not shown to take fewer (``tests/benchmarks/informed.py``; docs/benchmarks.md).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState, create_trial

from fer_tune.objectives import ACCURACY, Aim, aim_of
from fer_tune.run_folder import EarlierSearch, EarlierTrial
from fer_tune.search.options import SearchOptions
from fer_tune.search.proposing.earlier_runs import ended_well, runs_in, settings_of
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.storage.runs import open_run

MOST = 60
"""Trials of an earlier search that are told, drawn from all at random: about as many as were replayed."""


def told_to_sampler(options: SearchOptions, spaces: Mapping[str, SearchSpace]) -> list[EarlierSearch]:
    """Return what the sampler of a new search is told: of each earlier run and backbone in it, what its trials beat.

    That is for gp and tpe with a single objective; others cannot be told of trials that another search made.  A
    setting that an earlier search did not vary says nothing of it, and is left out.  Of a search for one backbone,
    those of the same are left out.

    Raises:
        UserError: a run is not there.
    """
    if options.sampler not in ("gp", "tpe") or len(options.objectives) > 1:
        return []
    aim, searched = aim_of(options.objectives), {name for space in spaces.values() for name in space.parameters}
    found = []
    seen: set[Path] = set()  # a run that is named by itself and in a folder of runs counts once
    for place in options.warm_start:
        for run in [open_run(run) for run in runs_in(place)] or [open_run(place)]:
            if (real := run.path.resolve()) in seen:
                continue
            seen.add(real)
            known = sorted(ended_well(run, aim), key=lambda each: str(each[0]["backbone"]))
            for backbone, group in groupby(known, key=lambda each: str(each[0]["backbone"])):
                trials = _told(list(group), searched, options.seed)
                if spaces.keys() != {backbone} and any(trial.settings for trial in trials):
                    found.append(EarlierSearch(run=run.name, backbone=backbone, trials=trials))
    return found


def _told(known: list[tuple[dict[str, Any], float]], searched: set[str], seed: int) -> list[EarlierTrial]:
    """Return the trials of one search, in the random order in which they fade."""
    settings = [settings_of(row) for row, _ in known]
    varied = {name for name in searched if len({repr(each.get(name)) for each in settings}) > 1}
    beats = ranks([(row["status"] == "completed", row["epochs"] or 0, value) for row, value in known])
    trials = [
        EarlierTrial(settings={name: each[name] for name in sorted(varied & each.keys())}, beats=share)
        for each, share in zip(settings, beats, strict=True)
    ]
    return [trials[index] for index in np.random.default_rng(seed).permutation(len(trials))[:MOST]]


def ranks(keys: Sequence[Any]) -> list[float]:
    """Return for each key the share of the others that it beats less the share that beat it, from -1 to 1.

    >>> [round(share, 2) for share in ranks([0.2, 0.9, 0.4])]
    [-0.67, 0.67, 0.0]
    """
    places = np.empty(len(keys))
    places[sorted(range(len(keys)), key=lambda index: keys[index])] = np.arange(len(keys))
    return [float(share) for share in 2 * (places + 0.5) / max(len(keys), 1) - 1]


class Informing:
    """Tells TPE of a search's trials and of earlier ones.

    Args:
        space: of the search; settings that it could not have drawn are left out.
        searches: what earlier ones found.
        aim: what trials are judged by.
    """

    def __init__(self, space: SearchSpace, searches: Sequence[EarlierSearch], aim: Aim = ACCURACY) -> None:
        self._aim = aim
        self._earlier = [[self._trial(space, trial) for trial in search.trials] for search in searches]

    def __call__(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return what TPE is told, given the trials of the search; once all earlier ones have faded, just these."""
        ended = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        left = [trial for search in self._earlier for trial in search[len(ended) :]]
        if not left:
            return list(trials)
        others = [trial for trial in trials if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED)]
        beats = ranks([self._key(trial) for trial in ended])
        own = [self._counted(trial, share) for trial, share in zip(ended, beats, strict=True)]
        return [*left, *own, *others]

    def _trial(self, space: SearchSpace, trial: EarlierTrial) -> FrozenTrial:
        params = fitting(space, trial.settings)
        kinds = {name: space.parameters[name].distribution for name in params}
        value = self._aim.signed(trial.beats)
        # its number is -1: before all of the search's
        return create_trial(state=TrialState.COMPLETE, value=value, params=params, distributions=kinds)

    def _counted(self, trial: FrozenTrial, beats: float) -> FrozenTrial:
        counted = copy.copy(trial)
        counted.state, counted.value = TrialState.COMPLETE, self._aim.signed(beats)
        return counted

    def _key(self, trial: FrozenTrial) -> tuple[bool, bool, int, float]:
        """Return what trials sort by, as TPE has them by itself: what is too large is worst, then what was stopped."""
        last = max(trial.intermediate_values, default=0)
        value = trial.value if trial.state == TrialState.COMPLETE else trial.intermediate_values.get(last)
        return not trial.constraints, trial.state == TrialState.COMPLETE, last, self._aim.key(value)


def fitting(space: SearchSpace, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the searched ones of ``settings`` that a space could have drawn."""
    given = dict(settings)
    return {
        name: given[name]
        for name in space.order
        if name in given and space.parameters[name].applies(given) and space.parameters[name].contains(given[name])
    }
