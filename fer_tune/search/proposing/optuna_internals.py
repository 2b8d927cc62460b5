"""All that this project leans on inside Optuna beyond its public interface, each point with why and what to look at.

Seen in Optuna 5.0.  `tests/search/proposing/test_optuna_internals.py` has a test for each point, which fails when an
upgrade moves it; no other module may touch what Optuna keeps to itself (`tests/test_architecture.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import GPSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

Retelling = Callable[[Sequence[FrozenTrial]], list[FrozenTrial]]
"""Trials -> the trials that a sampler is told of in their place."""


def report(study: optuna.Study, number: int, value: float, step: int) -> None:
    """Report an intermediate value of a running trial, as ``Trial.report`` does, by the trial's number.

    ``Study.tell`` takes a number, but a value before the end can only be reported by the `optuna.Trial` that
    ``Study.ask`` returned, and that is gone with the process after a resume.  One that is made for a running trial
    (``optuna.Trial(study, trial_id)``) would have the sampler prepare the trial again.  Leans on ``Study._storage``,
    and on methods of storages that Optuna means for itself.  If they move, the first epoch of a search fails.
    """
    storage, trial_id = _record(study, number)
    storage.set_trial_intermediate_value(trial_id, step, value)


def mark(study: optuna.Study, number: int, key: str, value: Any) -> None:
    """Set a user attribute of a running trial, as ``Trial.set_user_attr`` does, by its number; see :func:`report`."""
    storage, trial_id = _record(study, number)
    storage.set_trial_user_attr(trial_id, key, value)


def forbid(study: optuna.Study, number: int, key: str) -> None:
    """Say that a running trial breaks a constraint, as ``Trial.set_constraint`` does; see :func:`report`.

    Leans on the name of the attribute that the constraint is kept in.  If that moves, samplers do not learn what is
    too large, and draw it again and again.
    """
    storage, trial_id = _record(study, number)
    storage.set_trial_system_attr(trial_id, f"constraints:{key}", 1.0)


def _record(study: optuna.Study, number: int) -> tuple[BaseStorage, int]:
    storage = study._storage
    of_study = storage.get_study_id_from_name(study.study_name)
    return storage, storage.get_trial_id_from_study_id_trial_number(of_study, number)


class LearnsFromDrawn(TPESampler):
    """Optuna's TPE, which learns from trials that drew their settings from the space, and from no others.

    Stock, it counts every ended trial as one to learn from, and splits them all into good ones and the rest.  A
    published configuration outside the space has no parameters: eight of those would end the random start with nothing
    known, and one that is the best leaves no good settings at all.  Which trials it reads cannot be told it; leans on
    ``Study._get_trials``, which it reads them by.  If that moves, such trials count again.

    Args:
        retelling: what it is told in place of those trials, if anything; once for all settings of a trial.
        options: of `optuna.samplers.TPESampler`.
    """

    def __init__(self, retelling: Retelling | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._retelling = retelling
        self._told: tuple[int, Retold] | None = None  # of the trial that is drawn now, by its number

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        known: Any = Drawn(study)
        if self._retelling is not None:
            if self._told is None or self._told[0] != trial.number:
                self._told = (trial.number, Retold(known, self._retelling))
            known = self._told[1]
        return super().sample_independent(known, trial, param_name, param_distribution)


class Drawn:
    """A study without the trials that drew nothing."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self._study._get_trials(deepcopy, states, use_cache) if trial.params]


class Retold:
    """A study with other trials in place of those that it has now."""

    def __init__(self, study: Any, retelling: Retelling) -> None:
        self._study = study
        self._trials = retelling(study._get_trials(deepcopy=False))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [trial for trial in self._trials if states is None or trial.state in states]


class ToleratesOthers(GPSampler):
    """Optuna's Gaussian process, which learns from those completed trials alone that drew all it is to draw.

    Stock, it asks every completed trial for all settings of its search space, and raises a KeyError at one that lacks
    some, such as a published configuration outside the space.  Which trials it learns from cannot be told it; leans on
    the method between choosing trials and fitting them.  If that moves, a search with ``--sampler gp`` and such a
    configuration fails; if Optuna skips such trials by itself, this class can go.

    Args:
        least: trials to learn from; with fewer it draws at random.
        options: of `optuna.samplers.GPSampler`.
    """

    def __init__(self, least: int, **options: Any) -> None:
        super().__init__(n_startup_trials=least, **options)
        self.least = least

    def _sample_relative_impl(
        self,
        study: optuna.Study,
        completed_trials: list[FrozenTrial],
        running_trials: list[FrozenTrial],
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        drawn = [trial for trial in completed_trials if search_space.keys() <= trial.params.keys()]
        if len(drawn) < self.least:
            return {}
        return super()._sample_relative_impl(study, drawn, running_trials, search_space)
