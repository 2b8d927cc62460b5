"""A grid over a search space: every combination of a few values per setting, each once.

A choice has all its values, a whole number all of its range if these are at most `POINTS`; other ranges have `POINTS`
values from end to end, evenly spaced, on a logarithmic scale where the range is logarithmic.  A setting that does not
apply, such as the momentum of an optimiser that has none, has no part in a point; so no two points train the same.
Optuna's GridSampler knows no such conditions, would give them several times over, and raises an error once the last
point is told (its documentation); its BruteForceSampler takes no ranges without a step.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from fer_tune.run_folder import SEARCHED, Candidate
from fer_tune.search.spaces.parameter import Parameter
from fer_tune.search.spaces.space import AGAIN, SearchSpace, origin

POINTS = 4
"""Values of a range that has no end of them; a `choice` in the space names others."""

LOST = "lost"
"""User attribute of a trial that was lost with the driver: its point is free again."""


def grid_values(parameter: Parameter) -> list[Any]:
    """Return the values of one setting, lowest first for ranges.

    >>> grid_values(Parameter(name="learning_rate", kind="log_uniform", values=(1e-4, 1e-1)))
    [0.0001, 0.001, 0.01, 0.1]
    >>> grid_values(Parameter(name="freeze_depth", kind="integer", values=(0, 2)))
    [0, 1, 2]
    """
    if parameter.kind == "choice":
        return list(dict.fromkeys(parameter.values))
    low, high = parameter.values
    if parameter.kind == "integer":
        return list(dict.fromkeys(int(value) for value in np.linspace(low, high, min(POINTS, high - low + 1)).round()))
    spaced = np.geomspace if parameter.kind == "log_uniform" else np.linspace
    inner = [float(f"{value:.6g}") for value in spaced(low, high, POINTS)[1:-1]]  # 0.01, not 0.010000000000000002
    return list(dict.fromkeys((float(low), *inner, float(high))))


def grid_size(space: SearchSpace) -> int:
    """Return the number of points, without making them.

    Only settings that conditions read are walked through; the others multiply.
    """
    read = {field for parameter in space.parameters.values() for field in parameter.when}

    def count(names: Sequence[str], settings: dict[str, Any]) -> int:
        total = 1
        for index, name in enumerate(names):
            parameter = space.parameters[name]
            if not parameter.applies(settings):
                continue
            values = grid_values(parameter)
            if name in read:
                return total * sum(count(names[index + 1 :], {**settings, name: value}) for value in values)
            total *= len(values)
        return total

    return count(space.order, dict(space.fixed))


def grid_points(space: SearchSpace) -> Iterator[dict[str, Any]]:
    """Yield every point: searched field -> value, of those that apply."""

    def walk(names: Sequence[str], point: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not names:
            yield point
            return
        parameter = space.parameters[names[0]]
        if not parameter.applies({**space.fixed, **point}):
            yield from walk(names[1:], point)
            return
        for value in grid_values(parameter):
            yield from walk(names[1:], {**point, names[0]: value})

    return walk(space.order, {})


def grid_trials(space: SearchSpace, first: Iterable[Candidate], trials: int) -> int:
    """Return how many trials a grid search makes: those tried first and every other point, at most ``trials``."""
    before = {entry.name: space.enqueue_values(entry.config) for entry in first}
    return min(trials, len(before) + sum(point not in before.values() for point in grid_points(space)))


class GridSampler(BaseSampler):
    """Draws the points of a grid, each once, in an order that ``seed`` shuffles.

    What was tried before counts too: a published configuration that is a point is not tried again, and after a resume
    the study says what is left.  A point whose trial failed is not tried again either; one whose trial was `LOST` is.
    """

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._points = list(grid_points(space))
        random.Random(seed).shuffle(self._points)  # so that a search that ends early has looked everywhere
        self._chosen: dict[int, dict[str, Any]] = {}  # trial number -> its point, for the settings drawn one by one

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Choose the point of a trial, unless it is one of those tried first or again."""
        if origin(trial) != SEARCHED or AGAIN in trial.user_attrs:
            return
        others = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        taken = [other.params for other in others if not other.user_attrs.get(LOST)]
        point = next((point for point in self._points if point not in taken), None)
        if point is None:
            raise RuntimeError("no point of the grid is left; the searcher asks for no more than there are")
        self._chosen[trial.number] = point

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._chosen[trial.number][param_name]
