"""The searched settings as axes: where a value lies between its bounds, for plots and for importance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.run import RunRecord

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FEWEST_OF_SURFACE = 12  # finished trials: two for each of the six coefficients that a parabola over two settings has
_LOG_RATIO = 30  # values that differ by more than this factor are shown on a logarithmic axis


@dataclass(frozen=True)
class SearchAxis:
    """One searched setting; ``choices`` is empty for numbers."""

    name: str
    low: float
    high: float
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] = ()

    def holds(self, value: Any) -> bool:
        """Return whether the search could have drawn ``value``."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def place(self, value: Any) -> float:
        """Return where ``value`` lies, 0 at the low end and 1 at the high one; choices are spread evenly."""
        if self.choices:
            return self.choices.index(value) / max(1, len(self.choices) - 1)
        if self.high == self.low:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    def distribution(self) -> BaseDistribution:
        """Return what Optuna drew the setting from."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def ticks(self) -> list[tuple[float, str]]:
        """Return places and labels for an axis that goes from 0 to 1."""
        if self.choices:
            return [(self.place(value), str(value)) for value in self.choices]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        values = (self.low, round(middle) if self.integer else middle, self.high)
        return [(self.place(value), f"{value:.2g}") for value in values]


@dataclass(frozen=True)
class Point:
    """A trial as the plots of settings need it."""

    trial_id: str
    published: bool  # a paper picked it
    status: str
    value: float  # what it is judged by, at its best epoch
    key: float  # the same, more is better
    epochs: int  # that it was trained for
    settings: dict[str, Any]


def points(run: RunRecord, backbone: str) -> list[Point]:
    """Return the completed and stopped trials of a backbone, in the order of their start."""
    usable = {row["trial_id"] for row in run.ranked}
    names = run.published_names
    return [
        Point(
            row["trial_id"],
            row["origin"] in names,
            row["status"],
            row[run.aim.column],
            run.aim.key(row[run.aim.column]),
            row["epochs"] or 0,
            row["config"],
        )
        for row in run.rows
        if row["backbone"] == backbone and row["trial_id"] in usable
        for value in [row[run.aim.column]]
    ]


def drawn_whole(points: list[Point], axes: list[SearchAxis]) -> list[Point]:
    """Return the trials of which the search could have drawn every setting; a published one may lie outside."""
    return [point for point in points if all(axis.holds(point.settings.get(axis.name)) for axis in axes)]


def finished(points: list[Point], first: SearchAxis, second: SearchAxis) -> list[Point]:
    """Return the trials that ran all their epochs with a drawn value of two settings: those that a surface can join.

    A trial that was stopped has had less time, so its accuracy is of another kind.
    """
    return [
        point
        for point in points
        if point.status == "completed"
        and first.holds(point.settings.get(first.name))
        and second.holds(point.settings.get(second.name))
    ]


def search_axes(run: RunRecord, backbone: str) -> list[SearchAxis]:
    """Return the searched settings of a backbone: from its search space, or from the trials where none is on record."""
    space = run.settings.spaces.get(backbone, {}).get("search", {})
    if space:
        return [axis for name, entry in space.items() if (axis := _from_space(name, entry)) is not None]
    seen: dict[str, set[Any]] = {}
    for point in points(run, backbone):
        for name, value in point.settings.items():
            seen.setdefault(name, set()).add(value)
    constant = ("backbone", "epochs", "seed")
    return [_from_values(name, values) for name, values in seen.items() if len(values) > 1 and name not in constant]


def _from_space(name: str, entry: dict[str, Any]) -> SearchAxis | None:
    if "choice" in entry:
        return SearchAxis(name, 0, 1, choices=tuple(entry["choice"]))
    for kind in ("log_uniform", "uniform", "integer"):
        if kind in entry:
            low, high = entry[kind]
            return SearchAxis(name, low, high, log=kind == "log_uniform", integer=kind == "integer")
    return None


def _from_values(name: str, values: set[Any]) -> SearchAxis:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = min(values), max(values)
        log = low > 0 and high / low > _LOG_RATIO
        return SearchAxis(name, low, high, log=log, integer=all(isinstance(value, int) for value in values))
    return SearchAxis(name, 0, 1, choices=tuple(sorted(values, key=str)))
