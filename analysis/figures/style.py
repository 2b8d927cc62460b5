"""How every figure looks: colours that colour-blind readers can tell apart, and sizes legible in a README."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl

# Okabe & Ito, "Color Universal Design", 2008; yellow is left out, being too pale for lines on white
PALETTE: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK, QUIET, PALE = "#222222", "#767676", "#C8C8C8"
PUBLISHED = "#E69F00"
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
"""Lines beside their colours: what is printed in grey, or seen without colours, is told apart too."""

MARKERS = ("o", "s", "D", "^", "v")
"""Dots beside their colours, for the same; stars are those of published configurations, whatever the backbone."""

WIDTH = 8.0  # inches: 1,280 pixels at DPI, legible when a page shows it at 800
DPI = 160

_SETTINGS: dict[Any, Any] = {
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 11,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "pdf.fonttype": 42,  # text stays text, as journals ask
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with the house's settings, and leave the caller's as they were."""
    with mpl.rc_context(_SETTINGS):
        yield


def colours(names: list[str]) -> dict[str, str]:
    """Give each name its colour, in order; they repeat after six."""
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(names)}


def markers(names: list[str]) -> dict[str, str]:
    """Give each name the shape of its dots, in order; with `colours` looks repeat after thirty."""
    return {name: MARKERS[index % len(MARKERS)] for index, name in enumerate(names)}


def line_looks(names: list[str]) -> dict[str, dict[str, Any]]:
    """Give each name the look of its line, in order; see `line_look`."""
    return {name: line_look(index) for index, name in enumerate(names)}


def line_look(index: int) -> dict[str, Any]:
    """Return colour and dashes of the line at a place, as Matplotlib takes them; looks repeat after thirty.

    >>> line_look(0), line_look(5)
    ({'color': '#0072B2', 'linestyle': '-'}, {'color': '#E69F00', 'linestyle': '-'})
    """
    return {"color": PALETTE[index % len(PALETTE)], "linestyle": DASHES[index % len(DASHES)]}
