"""Figures of what the search tells about its settings: importance, slices, contour, parallel coordinates, budget."""

from __future__ import annotations

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.base import Shown, headline, legend, new
from analysis.figures.curves import so_far
from analysis.figures.style import INK, PALE, PALETTE, PUBLISHED, QUIET, WIDTH, line_looks, style
from analysis.trials.axes import Point, SearchAxis
from analysis.trials.importance import Importances
from fer_tune.objectives import ACCURACY, Aim

_MAP = "cividis"  # the same for all readers, and in grey
_LEVEL = (0, (1, 3))  # far dots, which no backbone's line has
_REACH = 0.18  # of the kernel that smooths the contour, as a share of an axis
_MOST_LINES = 400  # of parallel coordinates: more only blacken the page


def importance(found: Importances) -> Figure:
    """Draw the share of each setting with its interval; those that are shown to matter are dark."""
    with style():
        figure, [axes] = new(1.8 + 0.42 * len(found.settings))
        places = np.arange(len(found.settings))[::-1]
        shares = np.array([100 * each.share for each in found.settings])
        bounds = np.array([[100 * each.low, 100 * each.high] for each in found.settings]).T
        axes.barh(places, shares, height=0.55, color=[PALETTE[0] if each.shown else PALE for each in found.settings])
        axes.hlines(places, bounds[0], bounds[1], color=INK, linewidth=1.6)
        axes.set_yticks(places, [each.name for each in found.settings])
        axes.set(xlabel=f"share of the differences {found.when} (%)", xlim=(0, 100))
        axes.grid(False, axis="y")
        headline(figure, f"What mattered for {found.backbone} ({found.trials} random trials)")
        keys = [
            Line2D([], [], color=PALETTE[0], linewidth=7, label="shown to matter"),
            Line2D([], [], color=PALE, linewidth=7, label="not shown"),
            Line2D([], [], color=INK, linewidth=1.6, label="95 % interval, all at once"),
        ]
        legend(axes, keys)
        return figure


def slices(points: list[Point], axes_: list[SearchAxis], aim: Aim = ACCURACY) -> Figure:
    """Draw what is judged by of every trial against each setting."""
    columns = min(3, len(axes_))
    rows = math.ceil(len(axes_) / columns)
    with style():
        figure = Shown(figsize=(WIDTH, 0.9 + 2.4 * rows))
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for number, panel in enumerate(grid.ravel()):
            if number >= len(axes_):
                panel.set_axis_off()
                continue
            axis = axes_[number]
            _slice(panel, axis, [point for point in points if axis.holds(point.settings.get(axis.name))], aim)
            if number % columns == 0:
                panel.set_ylabel(aim.label.removeprefix("validation "))
        headline(figure, f"{aim.title} against each setting")
        _trial_keys(grid[0][0], points)
        return figure


def _slice(panel: Axes, axis: SearchAxis, points: list[Point], aim: Aim) -> None:
    for kind in ("stopped", "completed", "published"):  # one call each: thousands of points stay quick
        own = [point for point in points if _kind(point) == kind]
        across = [axis.place(point.settings[axis.name]) for point in own]
        panel.scatter(across, [aim.scale * point.value for point in own], zorder=3, **_LOOKS[kind])
    _ticks(panel, axis)
    panel.set_xlabel(axis.name)


def _kind(point: Point) -> str:
    return "published" if point.published else point.status


_LOOKS: dict[str, dict[str, Any]] = {
    "completed": {"marker": "o", "s": 26, "c": PALETTE[0], "edgecolors": PALETTE[0], "linewidths": 1},
    "stopped": {"marker": "o", "s": 26, "c": "white", "edgecolors": PALETTE[0], "linewidths": 1},
    "published": {"marker": "*", "s": 130, "c": PUBLISHED, "edgecolors": INK, "linewidths": 0.8},
}


def _trial_keys(axes: Axes, points: list[Point]) -> None:
    def key(label: str, **look: Any) -> Line2D:
        return Line2D([], [], linestyle="none", label=label, **look)

    keys = [key("all epochs", marker="o", color=PALETTE[0])]
    if any(point.status == "stopped" for point in points):
        keys.append(key("stopped early", marker="o", markerfacecolor="white", markeredgecolor=PALETTE[0]))
    if any(point.published for point in points):
        keys.append(key("published", marker="*", markersize=13, markerfacecolor=PUBLISHED, markeredgecolor=INK))
    legend(axes, keys)


def _ticks(panel: Axes, axis: SearchAxis) -> None:
    places, labels = zip(*axis.ticks(), strict=True)
    panel.set_xticks(places, labels)
    panel.set_xlim(-0.06, 1.06)


def contour(points: list[Point], first: SearchAxis, second: SearchAxis, aim: Aim = ACCURACY) -> Figure:
    """Draw what is judged by over two settings, smoothed over the trials; white where no trial is near.

    Args:
        points: at least one, each with a drawn value of both; see `analysis.trials.axes.finished`.
        first: the setting across.
        second: the setting upwards.
        aim: what the run judges by.
    """
    with style():
        figure, [axes] = new(5.6)
        x = np.array([first.place(point.settings[first.name]) for point in points])
        y = np.array([second.place(point.settings[second.name]) for point in points])
        values = np.array([aim.scale * point.value for point in points])
        side = np.linspace(0, 1, 80)
        across, up = np.meshgrid(side, side)
        distance = (across[..., None] - x) ** 2 + (up[..., None] - y) ** 2
        weight = np.exp(-0.5 * distance / _REACH**2)
        surface = (weight * values).sum(-1) / weight.sum(-1)  # Nadaraya and Watson's kernel regression
        surface = np.where(distance.min(-1) < (1.5 * _REACH) ** 2, surface, np.nan)
        drawn = axes.contourf(across, up, np.ma.masked_invalid(surface), levels=12, cmap=_MAP, alpha=0.9)
        scale = mpl.colors.Normalize(values.min(), values.max())
        axes.scatter(x, y, c=values, cmap=_MAP, norm=scale, s=46, edgecolors="white", linewidths=1.2, zorder=3)
        axes.grid(False)
        _ticks(axes, first)
        places, labels = zip(*second.ticks(), strict=True)
        axes.set_yticks(places, labels)
        axes.set_ylim(-0.06, 1.06)
        axes.set(xlabel=first.name, ylabel=second.name)
        figure.colorbar(drawn, ax=axes, label=f"{aim.label}, smoothed")
        headline(figure, f"{aim.title} over {first.name} and {second.name}")
        return figure


def parallel(points: list[Point], axes_: list[SearchAxis], aim: Aim = ACCURACY) -> Figure:
    """Draw every trial as a line over all settings; the best tenth, but at least three, stands out."""
    with style():
        figure, [axes] = new(4.8)
        ranked = sorted(points, key=lambda point: point.key)[-_MOST_LINES:]
        best = {point.trial_id for point in ranked[-max(3, len(points) // 10) :]}
        low, high = sorted((aim.scale * ranked[0].value, aim.scale * ranked[-1].value))
        scale = mpl.colors.Normalize(low, high)
        shades = _MAP if not aim.maximise else f"{_MAP}_r"  # the best are dark, on paper and in grey
        colours_ = mpl.colormaps[shades]
        for point in ranked:
            across = [n for n, axis in enumerate(axes_) if axis.holds(point.settings.get(axis.name))]
            up = [axes_[n].place(point.settings[axes_[n].name]) for n in across]
            end = (aim.scale * point.value - low) / ((high - low) or 1)
            strong = point.trial_id in best
            look: dict[str, Any] = {"linewidth": 2.2, "alpha": 0.95} if strong else {"linewidth": 0.9, "alpha": 0.6}
            axes.plot([*across, len(axes_)], [*up, end], color=colours_(scale(aim.scale * point.value)), **look)
        for n, axis in enumerate(axes_):
            axes.axvline(n, color=QUIET, linewidth=0.8)
            for place, text in axis.ticks():
                axes.annotate(text, (n, place), (3, 2), textcoords="offset points", fontsize=8, color=INK)
        axes.axvline(len(axes_), color=QUIET, linewidth=0.8)
        axes.set_xticks(
            range(len(axes_) + 1),
            [*(a.name.replace("_", "\n") for a in axes_), aim.label.removeprefix("validation ").replace(" (", "\n(")],
        )
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set_xlim(-0.1, len(axes_) + 0.35)
        axes.set_ylabel("low to high on each axis")
        figure.colorbar(mpl.cm.ScalarMappable(scale, shades), ax=axes, label=aim.label)
        headline(figure, f"All trials at once; thick lines are the best {len(best)}")
        return figure


def budget(trials: pd.DataFrame, published: set[str], aim: Aim = ACCURACY) -> Figure:
    """Draw the best so far against the epochs that the search had spent, per backbone.

    Args:
        trials: `Run.trials`, in the order of start; a trial's epochs count from its start.
        published: names of the published configurations.
        aim: what trials are judged by.
    """
    with style():
        figure, [axes] = new(4.4)
        looks = line_looks(list(dict.fromkeys(trials["backbone"])))
        for backbone, own in trials.groupby("backbone", sort=False):
            spent = own["epochs"].fillna(0).cumsum()
            best = aim.scale * so_far(own[aim.column], aim).ffill()
            axes.step([*spent], [*best], where="post", label=str(backbone), **looks[str(backbone)])
            known = own[own["origin"].isin(published) & own[aim.column].notna()]
            for _, row in known.iterrows():
                level = aim.scale * row[aim.column]
                axes.axhline(level, color=PUBLISHED, linewidth=1.6, linestyle=_LEVEL, zorder=1)
        axes.set(xlabel="epochs spent, in the order of start", ylabel=f"best {aim.label} so far")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(f"{aim.title} against what it cost")
        keys = [Line2D([], [], label=name, **look) for name, look in looks.items()]
        if trials["origin"].isin(published).any():
            keys.append(Line2D([], [], color=PUBLISHED, linestyle=_LEVEL, linewidth=1.6, label="published, alone"))
        legend(axes, keys)
        return figure
