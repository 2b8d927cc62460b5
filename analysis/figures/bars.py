"""Estimates below each other, with their intervals and the values behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from analysis.figures.base import headline, new
from analysis.figures.style import PALETTE, QUIET, style


@dataclass(frozen=True)
class Bar:
    """A line of `comparison` or `refits`: a name, an estimate with its bounds where known, the single values."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    points: tuple[float, ...] = ()
    kind: str = "searched"  # or "published", "reported"


def bars(rows: list[Bar], title: str, label: str, scale: float = 100.0) -> Figure:
    """Draw estimates below each other, first on top: the mean with its interval, and the values behind it.

    Args:
        rows: the estimates.
        title: of the figure.
        label: of the axis.
        scale: what values are multiplied by; shares are drawn in per cent.
    """
    digits = 1 if scale == 100 else 3
    with style():
        figure, [axes] = new(1.5 + 0.6 * len(rows))
        looks = {"searched": (PALETTE[0], "o"), "published": (PALETTE[1], "D"), "reported": (QUIET, "s")}
        for place, row in enumerate(reversed(rows)):
            colour, marker = looks[row.kind]
            values = [scale * point for point in row.points]
            axes.scatter(values, [place] * len(values), s=42, color=colour, alpha=0.4, linewidths=0)
            if row.low is not None and row.high is not None:
                axes.plot([scale * row.low, scale * row.high], [place, place], color=colour, linewidth=2, zorder=3)
            mean: dict[str, Any] = (
                {"marker": "|", "s": 320, "linewidths": 2.5} if row.points else {"marker": marker, "s": 60}
            )
            axes.scatter(scale * row.value, place, color=colour, zorder=4, **mean)
            axes.annotate(
                f"{scale * row.value:.{digits}f}",
                (scale * row.value, place),
                (0, 11),
                textcoords="offset points",
                ha="center",
            )
        axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
        axes.set_ylim(-0.6, len(rows) - 0.35)
        axes.margins(x=0.12)
        axes.grid(False, axis="y")
        axes.set_xlabel(label)
        headline(figure, title)
        return figure
