"""Figures beyond the mean over one split: accuracy under corruptions."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.base import headline, legend, new
from analysis.figures.style import PALETTE, QUIET, style
from analysis.results import Corruptions

MARKERS = ("o", "s", "D", "^", "v", "P")
"""One for each corruption: six colours are told apart by shape too."""


def corruptions(found: Corruptions) -> Figure:
    """Draw the accuracy under each corruption over its strength, with intervals; strength 0 is the image as it is."""
    with style():
        figure, [axes] = new(5.0)
        keys = []
        axes.axhline(100 * found.clean.value, color=QUIET, linewidth=1, linestyle="--")
        for number, each in enumerate(found.each):
            colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
            shift = 0.05 * (number - (len(found.each) - 1) / 2)  # intervals at one strength stand beside each other
            places = [0.0, *(at.strength + shift for at in each.at)]
            estimates = [found.clean, *(at.accuracy for at in each.at)]
            values = [100 * one.value for one in estimates]
            below = [100 * (one.value - one.low) for one in estimates]
            above = [100 * (one.high - one.value) for one in estimates]
            axes.errorbar(places, values, yerr=[below, above], color=colour, marker=marker, linewidth=1.6)
            keys.append(Line2D([], [], color=colour, marker=marker, label=each.name))
        axes.set_xticks(range(6), ["as it is", *(str(at.strength) for at in found.each[0].at)])
        axes.set(xlabel="strength of the corruption", ylabel="accuracy (%, 95 % intervals)")
        axes.set_ylim(bottom=0)
        headline(figure, "Accuracy under common corruptions")
        legend(axes, keys)
        return figure
