"""Performance profiles: how many seeds of each contender score more than a threshold."""

from __future__ import annotations

from matplotlib.figure import Figure

from analysis.figures.base import headline, new
from analysis.figures.style import line_look, style
from analysis.statistics.comparing.aggregates import Aggregates
from fer_tune.amounts import amount


def profiles(found: Aggregates) -> Figure:
    """Draw the profiles with their intervals; one that lies right of another is better at every threshold."""
    with style():
        figure, [axes] = new(4.8)
        for number, each in enumerate(found.profiles):
            look = line_look(number)
            places = 100 * found.thresholds
            axes.fill_between(places, 100 * each.low, 100 * each.high, color=look["color"], alpha=0.15, linewidth=0)
            axes.plot(places, 100 * each.share, label=each.name, **look)
        axes.set(ylim=(-1, 101), ylabel="seeds that score more (%, 95 % intervals)")
        axes.set_xlabel("accuracy (%)" if found.datasets == 1 else "score (0: largest class, 100: all right)")
        seeds = f"{min(found.seeds)} seeds on {amount(found.datasets, 'held-out split')}"
        headline(figure, f"Performance profiles: {seeds}")
        figure.legend(loc="outside lower center", ncols=min(len(found.profiles), 3))
        return figure
