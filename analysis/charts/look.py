"""How every interactive figure looks, and as what it stands in a page.

Colours of text, lines of the grid and ground are left to the page, which has a light and a dark look.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

# The hues of `analysis.figures.style`, as light as stands out from white and from near black (3 to 1 and more)
PALETTE: tuple[str, ...] = ("#2E86C1", "#D95F02", "#12956C", "#C061A0", "#3FA9C9", "#B8860B")
PUBLISHED, QUIET = "#D18F00", "#858B92"
SCALE: list[tuple[float, str]] = [(0.0, "#9AA3AD"), (0.55, "#3F95D2"), (1.0, "#D95F02")]
"""From a low accuracy to a high one."""

MOST_LINES = 400
"""Trials that a chart draws a line for, the best of them: more only blacken it, and make the page heavy."""

DASHES = ("solid", "dash", "dashdot", "dot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down")
"""Of lines and marks beside their colours, as on paper, for who sees no colours or prints in grey."""

_STARS = ("star", "star-square", "star-diamond", "star-triangle-up", "star-triangle-down")
"""Of published configurations, for each of `SYMBOLS`."""

MARKS: dict[str, dict[str, Any]] = {
    "completed": {"symbol": "circle", "size": 8},
    "stopped": {"symbol": "circle-open", "size": 8, "line": {"width": 1.5}},
    "running": {"symbol": "circle-dot", "size": 8},
    "published": {"symbol": "star", "size": 13, "color": PUBLISHED},
}
SAID = {"completed": "all epochs", "stopped": "stopped early", "running": "running", "published": "published"}


@dataclass(frozen=True)
class Chart:
    """An interactive figure.

    Attributes:
        json: what plotly.js draws: ``data`` and ``layout``.
        height: in pixels.
        least: its smallest width in pixels; a narrower page has it scroll sideways.
    """

    json: str
    height: int
    least: int = 340


def chart(figure: go.Figure, *, height: int = 420, least: int = 340) -> Chart:
    """Return ``figure`` in the house's look: no ground, legend below, its size that of the page.

    Args:
        figure: plotly's.
        height: in pixels.
        least: the smallest width in pixels at which it can be read.
    """
    figure.update_layout(
        template="none",  # plotly's own is 7 KB in each figure
        title=None,
        width=None,
        height=height,
        autosize=True,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=list(PALETTE),
        font={"family": "system-ui, -apple-system, Segoe UI, Roboto, DejaVu Sans, sans-serif", "size": 13},
        hoverlabel={"align": "left"},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0, "title": None},
        margin={"l": 56, "r": 16, "t": 24, "b": 96 if _has_legend(figure) else 52},
    )
    figure.update_xaxes(automargin=True, title_font_size=13, title_standoff=8)
    figure.update_yaxes(automargin=True, title_font_size=13, title_standoff=8)
    figure.for_each_annotation(lambda each: each.font.update(color=None))  # the page's
    return Chart(figure.to_json(), height, least)


def shade(share: float) -> str:
    """Return the colour of `SCALE` at a share in [0, 1] of the way from low to high.

    >>> shade(0), shade(1)
    ('rgb(154,163,173)', 'rgb(217,95,2)')
    """
    places, colours_ = zip(*SCALE, strict=True)
    parts = [[int(colour[i : i + 2], 16) for colour in colours_] for i in (1, 3, 5)]
    return f"rgb({','.join(f'{np.interp(share, places, part):.0f}' for part in parts)})"


def _has_legend(figure: go.Figure) -> bool:
    return figure.layout.showlegend is not False and sum(trace.showlegend is not False for trace in figure.data) > 1


def plain(text: str) -> str:
    """Return text of which plotly takes nothing for a tag.

    >>> plain("<b>")
    '&lt;b&gt;'
    """
    return html.escape(text, quote=False)


def rounded(values: Any, digits: int = 2) -> list[float | None]:
    """Return numbers as short as they are read; None, which breaks a line, for those that are none."""
    return [None if value is None or value != value else round(float(value), digits) for value in values]


@dataclass(frozen=True)
class Look:
    """How the line and the marks of one among several look.

    Attributes:
        colour: of both.
        dash: of the line.
        symbol: of a mark.
    """

    colour: str
    dash: str
    symbol: str

    @property
    def line(self) -> dict[str, Any]:
        """Colour and dashes, as plotly takes them."""
        return {"color": self.colour, "dash": self.dash}

    def mark(self, kind: str) -> dict[str, Any]:
        """Return the marks of trials of a kind (`MARKS`), in this colour and shape.

        >>> Look("red", "dash", "square").mark("stopped")["symbol"]
        'square-open'
        """
        own = MARKS[kind]
        shape = self.symbol + own["symbol"].removeprefix(SYMBOLS[0])
        if kind == "published":
            shape = _STARS[SYMBOLS.index(self.symbol)]
        return {"color": self.colour} | own | {"symbol": shape}


def looks(names: list[str]) -> dict[str, Look]:
    """Give each name its look, in order; looks repeat after thirty.

    >>> looks(["resnet18", "resnet50"])["resnet50"]
    Look(colour='#D95F02', dash='dash', symbol='square')
    """
    return {
        name: Look(PALETTE[at % len(PALETTE)], DASHES[at % len(DASHES)], SYMBOLS[at % len(SYMBOLS)])
        for at, name in enumerate(names)
    }
