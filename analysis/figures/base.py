"""What every figure begins with: its size, its headline, its legend."""

from __future__ import annotations

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import WIDTH


class Shown(Figure):
    """A figure that a notebook's cell shows by itself: IPython knows only those that pyplot makes."""

    def _repr_png_(self) -> bytes:
        drawn = BytesIO()
        self.savefig(drawn, format="png")
        return drawn.getvalue()


def new(height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure of the house's width with ``columns`` axes side by side; height in inches."""
    figure = Shown(figsize=(WIDTH, height))  # without pyplot: no global state, nothing to close
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, list(axes)


def legend(axes: Axes, keys: list[Line2D]) -> None:
    """Place the legend below the axes, where it hides nothing."""
    axes.figure.legend(handles=keys, loc="outside lower center", ncols=min(len(keys), 4))


def headline(figure: Figure, text: str) -> None:
    """Place the title at the figure's left edge, where long tick labels leave it room."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=12, fontweight="bold")
