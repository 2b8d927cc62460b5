"""Settings as points of a cube, for a model that needs distances between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from fer_tune.search.spaces.space import SearchSpace

Units = NDArray[np.float64]
"""(p,) or (n, p) in [0, 1), one for each searched parameter: how far along its range or its choices it is."""


class Encoding:
    """How the searched settings of a space are laid out in a cube.

    Ranges lie along one axis, by their logarithm where they are drawn by it.  So do choices among numbers, in their
    order.  Other choices have an axis each, on which only one is not zero, but for two, which share one.  A setting
    that does not apply lies in the middle.

    Args:
        space: of the settings.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._parameters = space.parameters
        self.distributions: dict[str, BaseDistribution] = {
            name: each.distribution for name, each in self._parameters.items()
        }
        self._choices = {
            name: _ordered(kind.choices)
            for name, kind in self.distributions.items()
            if isinstance(kind, CategoricalDistribution)
        }

    def units(self, settings: Mapping[str, Any]) -> Units:
        """Return (p,) where ``settings`` lie; the middle for those that are missing."""
        return np.array([self._unit(name, settings[name]) if name in settings else 0.5 for name in self._parameters])

    def settings(self, units: Units) -> dict[str, Any]:
        """Return what (p,) ``units`` stand for, whether it applies or not."""
        return {name: self._value(name, unit) for name, unit in zip(self._parameters, units, strict=True)}

    def points(self, settings: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Return (n, d) points of the cube, d of at least p axes."""
        shape = (len(settings), len(self._parameters))
        units = np.array([self.units(each) for each in settings]).reshape(shape)
        known = np.array([[name in each for name in self._parameters] for each in settings], bool).reshape(shape)
        return self.points_of(units, known)

    def points_of(self, units: Units, known: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return the (n, d) points of (n, p) ``units``; those that are not ``known`` (n, p) are missing."""
        known = np.ones(units.shape, bool) if known is None else known
        columns = dict(zip(self._parameters, units.T, strict=True))
        there = dict(zip(self._parameters, known.T, strict=True))
        axes: list[NDArray[np.float64]] = []
        for name, parameter in self._parameters.items():
            applies = there[name].copy()
            for field, values in parameter.when.items():
                applies &= there[field] & self._is_one_of(field, columns[field], values)
            options = self._choices.get(name, [])
            place = self._steps(name, columns[name])
            if len(options) < 3 or _numbers(options):
                axes.append(np.where(applies, self._along(name, place), 0.5))
            else:  # any two are as far apart as the ends of an axis
                axes += [math.sqrt(0.5) * (applies & (place == option)) for option in range(len(options))]
        return np.stack(axes, axis=1)

    def choices(self) -> list[int]:
        """Return (p,) how many choices each parameter has; 0 for ranges."""
        return [len(self._choices.get(name, ())) for name in self._parameters]

    def _unit(self, name: str, value: Any) -> float:
        if name in self._choices:
            return (self._choices[name].index(value) + 0.5) / len(self._choices[name])
        kind = self.distributions[name]
        assert isinstance(kind, FloatDistribution | IntDistribution)
        low, high = kind.low, kind.high
        if isinstance(kind, IntDistribution):
            return float((value - low + 0.5) / (high - low + 1))
        return float(math.log(value / low) / math.log(high / low) if kind.log else (value - low) / (high - low))

    def _value(self, name: str, unit: float) -> Any:
        if name in self._choices:
            return self._choices[name][int(unit * len(self._choices[name]))]
        kind = self.distributions[name]
        assert isinstance(kind, FloatDistribution | IntDistribution)
        low, high = kind.low, kind.high
        if isinstance(kind, IntDistribution):
            return low + int(unit * (high - low + 1))
        value = low * (high / low) ** unit if kind.log else low + unit * (high - low)
        return float(min(max(value, low), high))  # rounding may lead beyond an end

    def _steps(self, name: str, units: Units) -> NDArray[np.float64]:
        """Return which choice or whole number, from 0, (n,) units stand for; themselves where there are none."""
        kind = self.distributions[name]
        if isinstance(kind, IntDistribution):
            return np.floor(units * (kind.high - kind.low + 1))
        return np.floor(units * len(self._choices[name])) if name in self._choices else units

    def _along(self, name: str, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        kind = self.distributions[name]
        if isinstance(kind, IntDistribution):
            return (steps + 0.5) / (kind.high - kind.low + 1)
        return steps / max(len(self._choices[name]) - 1, 1) if name in self._choices else steps

    def _is_one_of(self, name: str, units: Units, values: Sequence[Any]) -> NDArray[np.bool_]:
        """Return (n,) whether units stand for one of ``values``."""
        _, first, place = np.unique(self._steps(name, units), return_index=True, return_inverse=True)
        wanted = np.array([self._value(name, unit) in values for unit in units[first]], bool)
        return wanted[place]


def _ordered(choices: Sequence[Any]) -> list[Any]:
    return sorted(choices) if _numbers(choices) else list(choices)


def _numbers(choices: Sequence[Any]) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in choices)
