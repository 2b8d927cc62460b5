"""The figure of a search with two objectives: every trial, the front, and where the published configurations lie."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.figures.base import headline, legend, new
from analysis.figures.style import INK, PALE, PUBLISHED, QUIET, colours, markers, style
from analysis.trials.pareto import MEANINGS, measured, pareto_front
from fer_tune.objectives import ACCURACY, OBJECTIVES, Aim, Objective

_LOG_RATIO = 10  # values that differ by more than this factor are shown on a logarithmic axis


def pareto(rows: list[dict[str, Any]], second: Objective, published: set[str], aim: Aim = ACCURACY) -> Figure:
    """Draw what trials are judged by against the second objective; a line with rings is the front, stars are published.

    Args:
        rows: `Run.rows`, of which at least one has both values.
        second: what was to be small.
        published: names of the published configurations.
        aim: what trials are judged by.
    """
    column = OBJECTIVES[second].column
    known = measured(rows, second, aim)
    with style():
        figure, [axes] = new(4.8)
        backbones = list(dict.fromkeys(row["backbone"] for row in known))
        palette, shapes = colours(backbones), markers(backbones)
        stars: dict[str, Any] = {"marker": "*", "s": 190, "linewidths": 1.4, "zorder": 4}
        for backbone, colour in palette.items():
            faces = {"completed": colour, "stopped": "white", "running": PALE}
            own = [row for row in known if row["backbone"] == backbone]
            for status, face in faces.items():
                some = [row for row in own if row["status"] == status and row["origin"] not in published]
                dots: dict[str, Any] = {"s": 34, "c": face, "edgecolors": colour, "marker": shapes[backbone]}
                axes.scatter(*_places(some, column, aim), zorder=3, **dots)
            some = [row for row in own if row["origin"] in published]
            axes.scatter(*_places(some, column, aim), c=PUBLISHED, edgecolors=colour, **stars)
        across, up = _places(pareto_front(rows, second, aim)[::-1], column, aim)  # from the smallest on
        axes.scatter(across, up, s=230, facecolors="none", edgecolors=INK, linewidths=1.4, zorder=5)
        farthest = max(row[column] for row in known)
        axes.step([*across, farthest], [*up, up[-1]], where="post", color=INK, linewidth=1.2, zorder=2)
        _scale(axes, [row[column] for row in known])
        axes.set(xlabel=MEANINGS[second], ylabel=f"best {aim.label}")
        axes.margins(x=0.08, y=0.1)
        headline(figure, "What quality costs: no trial beats those with a ring in both")
        legend(axes, _keys(known, palette, shapes, published))
        return figure


def _places(rows: list[dict[str, Any]], column: str, aim: Aim) -> tuple[list[float], list[float]]:
    return [row[column] for row in rows], [aim.scale * row[aim.column] for row in rows]


def _scale(axes: Axes, values: list[float]) -> None:
    if min(values) > 0 and max(values) / min(values) > _LOG_RATIO:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _keys(
    rows: list[dict[str, Any]], palette: dict[str, str], shapes: dict[str, str], published: set[str]
) -> list[Line2D]:
    def dot(label: str, **look: Any) -> Line2D:
        return Line2D([], [], linestyle="none", label=label, **look)

    keys = [dot(name, marker=shapes[name], color=colour) for name, colour in palette.items()]
    if any(row["status"] == "stopped" and row["origin"] not in published for row in rows):
        keys.append(dot("stopped early", marker="o", markerfacecolor="white", markeredgecolor=QUIET))
    if any(row["origin"] in published for row in rows):
        keys.append(dot("published", marker="*", markersize=14, markerfacecolor=PUBLISHED, markeredgecolor=QUIET))
    ring: dict[str, Any] = {"marker": "o", "markersize": 13, "markerfacecolor": "none", "markeredgecolor": INK}
    return [*keys, Line2D([], [], color=INK, linewidth=1.2, label="the front", **ring)]
