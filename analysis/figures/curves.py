"""Figures over trials and epochs: the history of a search, learning curves of its trials and of refits.

Each function draws inside `style()`, sets every label itself and needs no display.  Accuracies go in as shares in
[0, 1] and are drawn in per cent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from analysis.figures.base import headline, legend, new
from analysis.figures.style import INK, PALE, PALETTE, PUBLISHED, QUIET, line_looks, markers, style
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import ACCURACY, Aim


def search_history(trials: pd.DataFrame, published: set[str], aim: Aim = ACCURACY) -> Figure:
    """Draw every trial in the order of its start, and the best so far, per backbone.

    Args:
        trials: `Run.trials`.
        published: names of the published configurations.
        aim: what trials are judged by.
    """
    column, scale = aim.column, aim.scale
    with style():
        figure, [axes] = new(4.6)
        backbones = list(dict.fromkeys(trials["backbone"]))
        looks, shapes = line_looks(backbones), markers(backbones)
        order = trials.reset_index(drop=True)
        order["number"] = order.index + 1
        scored = order[order[column].notna()]
        for backbone, own in scored.groupby("backbone", sort=False):
            look = looks[str(backbone)]
            colour = look["color"]
            best = scale * so_far(own[column], aim)
            last = [*own["number"], len(order)]
            axes.step(last, [*best, best.iloc[-1]], where="post", linewidth=2, **look)
            for status, face in (("completed", colour), ("stopped", "white"), ("running", PALE)):
                some = own[(own["status"] == status) & ~own["origin"].isin(published)]
                dots: dict[str, Any] = {"s": 34, "c": face, "edgecolors": colour, "marker": shapes[str(backbone)]}
                axes.scatter(some["number"], scale * some[column], zorder=3, **dots)
            known = own[own["origin"].isin(published)]
            stars: dict[str, Any] = {"marker": "*", "s": 190, "edgecolors": colour, "linewidths": 1.4, "zorder": 4}
            axes.scatter(known["number"], scale * known[column], c=PUBLISHED, **stars)
        failed = order[order["status"].isin(["failed", TOO_LARGE])]
        if len(failed):
            floor = axes.get_ylim()[0]
            axes.scatter(failed["number"], [floor] * len(failed), marker="x", c=INK, s=40, zorder=3, clip_on=False)
        axes.set(xlabel="trial, in the order of start", ylabel=f"best {aim.label}", xlim=(0, len(order) + 1))
        axes.set_title("Every trial of the search")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(axes, _history_keys(order, looks, shapes, published))
        return figure


def so_far(values: pd.Series[float], aim: Aim) -> pd.Series[float]:
    """Return the best of ``values`` up to each."""
    return values.cummax() if aim.maximise else values.cummin()


def _history_keys(
    trials: pd.DataFrame, looks: dict[str, dict[str, Any]], shapes: dict[str, str], published: set[str]
) -> list[Line2D]:
    def dot(label: str, **look: Any) -> Line2D:
        return Line2D([], [], linestyle="none", markeredgecolor=QUIET, label=label, **look)

    keys = [Line2D([], [], label=f"{name}: best so far", marker=shapes[name], **look) for name, look in looks.items()]
    statuses = set(trials["status"])
    if "completed" in statuses:
        keys.append(dot("all epochs", marker="o", markerfacecolor=QUIET))
    if "stopped" in statuses:
        keys.append(dot("stopped early", marker="o", markerfacecolor="white"))
    if trials["origin"].isin(published).any():
        keys.append(dot("published", marker="*", markerfacecolor=PUBLISHED, markersize=14))
    if statuses & {"failed", TOO_LARGE}:
        label = "failed or too large" if TOO_LARGE in statuses else "failed"
        keys.append(Line2D([], [], linestyle="none", marker="x", color=INK, label=label))
    return keys


def trial_curves(epochs: pd.DataFrame, trials: pd.DataFrame, aim: Aim = ACCURACY) -> Figure:
    """Draw what is judged by of every trial over its epochs; where early stopping cut, a line ends in a ring.

    Args:
        epochs: `Run.epochs`.
        trials: `Run.trials`.
        aim: what trials are judged by.
    """
    with style():
        figure, [axes] = new(4.6)
        backbones = list(dict.fromkeys(trials["backbone"]))
        looks, shapes = line_looks(backbones), markers(backbones)
        status = dict(zip(trials["trial_id"], trials["status"], strict=True))
        for backbone, rows in epochs.sort_values("epoch", kind="stable").groupby("backbone", sort=False):
            look = looks.get(str(backbone), {"color": QUIET, "linestyle": "-"})
            colour = look["color"]
            lines: list[NDArray[Any]] = []
            ends: dict[str, list[NDArray[Any]]] = {"completed": [], "stopped": []}
            for trial, own in rows.groupby("trial_id", sort=False):
                line = np.column_stack([own["epoch"], aim.scale * own[aim.column]])
                lines.append(line)
                if status.get(str(trial)) in ends:  # another may go on
                    ends[status[str(trial)]].append(line[-1])
            axes.add_collection(
                LineCollection(lines, colors=colour, linestyles=look["linestyle"], alpha=0.55, linewidths=1.2)
            )
            for kind, face in (("completed", colour), ("stopped", "white")):
                if ends[kind]:
                    last, reached = np.array(ends[kind]).T
                    shape = shapes.get(str(backbone), "o")
                    axes.scatter(last, reached, s=26, c=face, edgecolors=colour, marker=shape, zorder=3)
        axes.autoscale_view()
        axes.set(xlabel="epoch", ylabel=aim.label)
        axes.set_title("Learning curves of the search")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        keys = [Line2D([], [], label=name, marker=shapes[name], **own) for name, own in looks.items()]
        dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markeredgecolor": QUIET}
        keys.append(Line2D([], [], markerfacecolor=QUIET, label="ran all its epochs", **dot))
        if "stopped" in set(status.values()):
            keys.append(Line2D([], [], markerfacecolor="white", label="stopped early", **dot))
        legend(axes, keys)
        return figure


def learning_curves(epochs: pd.DataFrame, name: str) -> Figure:
    """Draw loss and accuracy of one configuration's refits: a thin line per seed, a thick one for their mean.

    Args:
        epochs: rows of `Run.refit_epochs`, all seeds below each other.
        name: the configuration.
    """
    with style():
        figure, axes = new(3.9, columns=2)
        panels = (("loss", "loss (nats)", 1), ("accuracy", "accuracy (%)", 100))
        for panel, (metric, label, factor) in zip(axes, panels, strict=True):
            for split, colour, line in (("train", PALETTE[1], "--"), ("val", PALETTE[0], "-")):
                values = epochs.assign(value=factor * epochs[f"{split}_{metric}"])
                for _, own in values.groupby("trial_id"):
                    panel.plot(own["epoch"], own["value"], color=colour, linestyle=line, alpha=0.35, linewidth=1)
                mean = values.groupby("epoch")["value"].mean()
                panel.plot(mean.index, mean, color=colour, linestyle=line)
            panel.set(xlabel="epoch", ylabel=label)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        seeds = epochs["trial_id"].nunique()
        headline(figure, f"{name}: {seeds} seeds and their mean" if seeds > 1 else name)
        keys = [
            Line2D([], [], color=PALETTE[1], linestyle="--", label="train (augmented images)"),
            Line2D([], [], color=PALETTE[0], label="validation"),
        ]
        legend(axes[0], keys)
        return figure
