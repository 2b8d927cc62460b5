"""Where the settings of the next trial come from: Optuna's samplers, as this project uses them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler
from optuna.trial import FrozenTrial

from fer_tune.errors import UserError
from fer_tune.kinds import Sampler, Scheduler
from fer_tune.objectives import Objective
from fer_tune.run_folder import EarlierSearch
from fer_tune.search.options import SearchOptions
from fer_tune.search.proposing.grid import POINTS, GridSampler, grid_size, grid_values
from fer_tune.search.proposing.informing import fitting
from fer_tune.search.proposing.optuna_internals import LearnsFromDrawn, Retelling, ToleratesOthers
from fer_tune.search.proposing.over_epochs import OverEpochs
from fer_tune.search.spaces.space import SearchSpace

TOO_FAR = 10
"""Times as many points as trials that a grid may have: a search that sees less of it is a random one."""

_STARTUP = 8  # trials drawn at random before there is something to learn from


def make_sampler(
    kind: Sampler,
    seed: int,
    space: SearchSpace,
    epochs: int,
    scheduler: Scheduler = "asha",
    *,
    several: bool = False,
    earlier: Sequence[EarlierSearch] = (),
    retelling: Retelling | None = None,
) -> BaseSampler:
    """Return a sampler.

    * ``gp``: a Gaussian process over settings and epochs with expected improvement; it learns from each epoch of all
      trials, see `fer_tune.search.proposing.over_epochs`.  With several objectives it is Optuna's, which learns from
      completed trials alone (its documentation, GPSampler), and settings under a condition are drawn at random.
    * ``tpe``: the tree-structured Parzen estimator (Bergstra et al. 2011), each setting by itself, with constant
      liar for trials that run side by side; it learns from stopped trials too (Optuna's documentation, TPESampler).
      All settings together, as Optuna 5 has it unless told, needs more epochs (`tests/benchmarks/efficiency.py`).
    * ``cmaes``: the covariance matrix adaptation evolution strategy (Hansen 2016), over the ranges that always apply;
      choices and settings that apply under a condition are drawn at random, as Optuna falls back to.  It learns once
      a generation of 4 + 3 ln(number of ranges) drawn trials has ended; trials that ASHA stopped count with their
      last value, those that the median rule stopped do not (both as Optuna's documentation advises, CmaEsSampler).
    * ``grid``: every combination of a few values, see :mod:`fer_tune.search.proposing.grid`.
    * ``random``: independent draws, the baseline that every other one has to beat.

    Args:
        kind: one of these.
        seed: of its random numbers.
        space: what it draws from.
        epochs: of a whole trial.
        scheduler: what stops trials.
        several: whether the study has more than one objective.
        earlier: searches that the Gaussian process learns from beside the study.
        retelling: what TPE is told in place of the trials of the study.
    """
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if kind == "grid":
        return GridSampler(space, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if kind == "gp" and several:
            return _GaussianProcess(space, seed)
        if kind == "gp":
            told = [[(fitting(space, each.settings), each.beats) for each in search.trials] for search in earlier]
            return OverEpochs(space, seed, epochs, _STARTUP, told)
        if kind == "cmaes":
            return _CmaEs(space, seed, learn_from_stopped=scheduler == "asha")
        return LearnsFromDrawn(retelling, multivariate=False, constant_liar=True, n_startup_trials=_STARTUP, seed=seed)


def usual_sampler(objectives: Sequence[Objective]) -> Sampler:
    """Return the one that needs the fewest epochs, by ``tests/benchmarks/efficiency.py``.

    With a second objective that is not known, and the Gaussian process would be Optuna's, which learns from completed
    trials alone.
    """
    return "gp" if len(objectives) == 1 else "tpe"


def blind_trials(kind: Sampler) -> float:
    """Return how many trials a sampler draws without learning from others: infinity where it never does.

    What was tried first counts as drawn where the space holds it.
    """
    return math.inf if kind in ("random", "grid") else _STARTUP


def check_sampler(options: SearchOptions, spaces: dict[str, SearchSpace]) -> None:
    """Refuse a sampler that can do nothing with a space.

    Raises:
        UserError: a grid far larger than the number of trials; CMA-ES without a range that always applies; a random
            share of a grid.
    """
    if options.random_share and options.sampler == "grid":
        raise UserError(
            f"--random-share {options.random_share:g}: --sampler grid tries every combination, and draws none at "
            "random; leave it out, or use another sampler"
        )
    if options.random_share and (options.sampler, options.scheduler) == ("random", "none"):
        raise UserError(
            f"--random-share {options.random_share:g}: with --sampler random and --scheduler none every trial is drawn "
            "at random and trained to its end; leave it out"
        )
    for name, space in spaces.items():
        if options.sampler == "cmaes" and not lasting_ranges(space):
            raise UserError(
                f"--sampler cmaes: the space of {name} has no range that every trial draws from, and CMA-ES cannot "
                "adapt to choices or to settings under a condition; use another sampler, or give --space a range "
                "without `when`"
            )
        if options.sampler == "grid" and (size := grid_size(space)) > TOO_FAR * options.trials:
            values = ", ".join(f"{field} {len(grid_values(each))}" for field, each in space.parameters.items())
            raise UserError(
                f"--sampler grid: the grid over the space of {name} has {size:,} points ({values}; a range counts as "
                f"{POINTS}), far more than --trials {options.trials} would see. Give --space with fewer settings under "
                f"`search`, or with a `choice` of few values; or at least --trials {math.ceil(size / TOO_FAR):,}; or "
                "another sampler"
            )


def lasting_ranges(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the ranges that every trial draws from: field -> distribution, those of a single value left out."""
    return {name: kind for name, kind in _lasting(space).items() if not isinstance(kind, CategoricalDistribution)}


class _CmaEs(CmaEsSampler):
    """Optuna's CMA-ES on ranges that are known from the start.

    Stock, it takes them to be what all completed trials have drawn.  One published configuration outside the space,
    which draws nothing, leaves none of them, and a range that turns out to be conditional changes their number: either
    way all later trials would be drawn at random (Optuna 5.0, ``infer_relative_search_space``, ``sample_relative``).
    """

    def __init__(self, space: SearchSpace, seed: int, *, learn_from_stopped: bool) -> None:
        super().__init__(seed=seed, consider_pruned_trials=learn_from_stopped, warn_independent_sampling=False)
        self._ranges = lasting_ranges(space)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._ranges)


class _GaussianProcess(ToleratesOthers):
    """Optuna's Gaussian process on settings that are known from the start, for the reason told in `_CmaEs`."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        super().__init__(_STARTUP, seed=seed, deterministic_objective=False, warn_independent_sampling=False)
        self._always = _lasting(space)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._always)


def _lasting(space: SearchSpace) -> dict[str, BaseDistribution]:
    kinds = {name: parameter.distribution for name, parameter in space.parameters.items() if not parameter.when}
    return {name: kinds[name] for name in sorted(kinds) if not kinds[name].single()}
