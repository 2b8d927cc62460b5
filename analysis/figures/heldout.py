"""Figures of what the held-out split shows: confusion, classes, ROC curves, calibration, differences, groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.figures.base import headline, new
from analysis.figures.style import INK, PALE, PALETTE, QUIET, line_look, style
from analysis.results import ClassScores, GroupScore, Versus
from analysis.statistics.calibration.probabilistic import BINS
from analysis.statistics.calibration.reliability import Reliability
from analysis.statistics.roc import Roc
from fer_tune.amounts import amount
from fer_tune.run_folder import DRAWN

MOST_NAMED = 40
"""Groups that a figure names each: more make it longer than a page."""


def confusion(counts: NDArray[Any], classes: list[str]) -> Figure:
    """Draw a confusion matrix in per cent of each true class.

    Args:
        counts: (C, C) counts summed over seeds; rows are the true classes.
        classes: the C names.
    """
    with style():
        figure, [axes] = new(6.4)
        total = counts.sum(1, keepdims=True)
        share = 100 * np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
        axes.grid(False)
        ticks = range(len(classes))
        turn = 35 if max(map(len, classes)) * len(classes) > 60 else 0
        axes.set_xticks(ticks, classes, rotation=turn, ha="right" if turn else "center")
        axes.set_yticks(ticks, classes)
        size = 11 if len(classes) <= 8 else 8
        for row in ticks:
            for column in ticks:
                colour = "white" if share[row, column] > 55 else INK
                text = f"{share[row, column]:.0f}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set(xlabel="predicted", ylabel="true")
        axes.set_title("Confusion on the held-out split (% of each true class)")
        figure.colorbar(image, ax=axes, shrink=0.75, label="% of the true class")
        return figure


def per_class(rows: list[ClassScores]) -> Figure:
    """Draw F1, precision and recall of each class with their intervals, best F1 on top."""
    with style():
        figure, [axes] = new(1.6 + 0.62 * len(rows))
        ordered = sorted(rows, key=lambda row: row.f1.value)
        looks = (("precision", PALETTE[1], "s", 0.24), ("F1", PALETTE[0], "o", 0.0), ("recall", PALETTE[2], "D", -0.24))
        for name, colour, marker, shift in looks:
            estimates = [getattr(row, name.lower()) for row in ordered]
            centre = np.array([100 * e.value for e in estimates])
            bounds = np.array([[100 * e.low for e in estimates], [100 * e.high for e in estimates]])
            errors = np.abs(bounds - centre)
            places = np.arange(len(ordered)) + shift
            axes.errorbar(
                centre, places, xerr=errors, fmt=marker, color=colour, markersize=6, linewidth=1.6, label=name
            )
        axes.set_yticks(range(len(ordered)), [f"{row.name}\n{amount(row.support, 'image')}" for row in ordered])
        axes.grid(False, axis="y")
        axes.set_xlabel("% (95 % intervals)")
        axes.set_title("Each class on the held-out split")
        figure.legend(loc="outside lower center", ncols=3)
        return figure


def roc(curves: list[Roc]) -> Figure:
    """Draw the ROC curve of each class against the rest, mean over seeds; see `analysis.statistics.roc`."""
    with style():
        figure, [axes] = new(6.2)
        axes.plot([0, 100], [0, 100], color=PALE, linewidth=1)
        for index, curve in enumerate(curves):
            look: dict[str, Any] = {**line_look(index), "label": f"{curve.name} {100 * curve.area:.1f} %"}
            axes.plot(100 * curve.wrong, 100 * curve.found, **look)
        axes.set_aspect("equal")
        axes.set(xlim=(0, 100), ylim=(0, 100.5))
        axes.set(xlabel="images of other classes taken for it (%)", ylabel="its images found (%)")
        axes.set_title("ROC curve of each class against the rest")
        axes.legend(loc="lower right", title="class, area under the curve (mean of seeds)")
        return figure


def reliability(curves: list[Reliability]) -> Figure:
    """Draw accuracy against confidence in bins, all seeds together; on the diagonal confidence is what it says.

    Args:
        curves: of one configuration: its probabilities as they are, then after temperature scaling where there is one.
    """
    with style():
        figure, [curve, histogram] = new(4.4, columns=2)
        curve.plot([0, 100], [0, 100], color=QUIET, linewidth=1, linestyle="--")
        edges = 100 * np.arange(BINS + 1) / BINS
        for own, colour, marker in zip(curves, PALETTE, "os", strict=False):
            bars = 100 * np.abs(np.stack([own.low, own.high]) - own.accuracy)
            look: dict[str, Any] = {"color": colour, "marker": marker, "elinewidth": 1, "label": own.label}
            curve.errorbar(100 * own.confidence, 100 * own.accuracy, yerr=bars, **look)
            histogram.stairs(100 * own.shares, edges, color=colour, linewidth=2)
            histogram.stairs(100 * own.shares, edges, color=colour, alpha=0.3, fill=True)
        curve.set(xlabel="confidence (%)", ylabel="accuracy (%)", xlim=(0, 101), ylim=(0, 101))
        curve.legend(loc="upper left")
        histogram.set(xlabel="confidence (%)", ylabel="predictions (%)", xlim=(0, 100))
        headline(figure, "Calibration: how often an answer is right, by how sure it is")
        return figure


def differences(pairs: list[Versus]) -> Figure:
    """Draw how far the winner is from each other tested configuration, in points of accuracy, with intervals."""
    with style():
        figure, [axes] = new(1.8 + 0.7 * len(pairs))
        for place, pair in enumerate(reversed(pairs)):
            colour = PALETTE[0] if pair.shown else QUIET
            axes.plot([100 * pair.low, 100 * pair.high], [place, place], color=colour)
            axes.scatter(100 * pair.difference, place, s=60, color=colour, zorder=3)
            text = f"{100 * pair.difference:+.1f}".replace("-", "−")
            where = (100 * pair.difference, place)
            axes.annotate(text, where, (0, 9), textcoords="offset points", ha="center", color=INK)
        axes.axvline(0, color=INK, linewidth=1)
        names = [pair.second_origin if pair.second_origin not in DRAWN else pair.second for pair in reversed(pairs)]
        axes.set_yticks(range(len(pairs)), [f"against\n{name}" for name in names])
        axes.set_ylim(-0.6, len(pairs) - 0.3)
        axes.margins(x=0.12)
        axes.grid(False, axis="y")
        axes.set_xlabel("points of accuracy that the winner has more (95 % interval)")
        headline(figure, "The winner against the others, on the same held-out images")
        return figure


def groups(rows: list[GroupScore]) -> Figure:
    """Draw the accuracy in each group of images with its interval, the least accurate first.

    A few stand below each other by name; hundreds in a row, in the order of their accuracy, with the names of the
    extremes.
    """
    ordered = sorted(rows, key=lambda row: row.accuracy)
    centre = np.array([100 * row.accuracy for row in ordered])
    errors = np.abs(np.array([[100 * row.low for row in ordered], [100 * row.high for row in ordered]]) - centre)
    title = "Accuracy by group of images"
    with style():
        if len(rows) > MOST_NAMED:
            figure, [axes] = new(4.6)
            thin: dict[str, Any] = {"markersize": 3, "linewidth": 0.5, "alpha": 0.8}
            axes.errorbar(np.arange(len(rows)), centre, yerr=errors, fmt="o", color=PALETTE[0], ecolor=PALE, **thin)
            for row, place, shift, side in ((ordered[0], 0, (6, -12), "left"), (ordered[-1], -1, (-6, 8), "right")):
                where = (range(len(rows))[place], centre[place])
                axes.annotate(row.group, where, shift, textcoords="offset points", ha=side, fontsize=10)
            axes.set(xlabel=f"{len(rows):,} groups, the least accurate first", ylabel="accuracy (%, 95 % interval)")
            axes.margins(x=0.02, y=0.12)
        else:
            figure, [axes] = new(1.4 + 0.45 * len(rows))
            places = np.arange(len(rows))[::-1]
            axes.errorbar(centre, places, xerr=errors, fmt="o", color=PALETTE[0], markersize=6, linewidth=1.8)
            axes.set_yticks(places, [f"{row.group} ({row.images:,})" for row in ordered])
            axes.set_ylim(-0.6, len(rows) - 0.4)
            axes.grid(False, axis="y")
            axes.set_xlabel("accuracy (%, 95 % interval)")
        headline(figure, title)
        return figure
