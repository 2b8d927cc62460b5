"""Where a running search's table is drawn again and again: in place on a terminal, or in a notebook's cell."""

from __future__ import annotations

import io
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.live import Live

_COLUMNS = 100  # of a notebook's cell: its lines do not wrap, and most screens show as many


class Place(Protocol):
    """Something that shows one thing at a time."""

    def show(self, shown: RenderableType) -> None:
        """Draw ``shown`` over what was there."""

    def close(self) -> None:
        """Leave the place as the next reader wants it."""


def has_place(console: Console) -> bool:
    """Tell whether a table can be drawn in place; in a pipe or a log file, lines are all there is."""
    return console.is_terminal or console.is_jupyter


def place_of(console: Console) -> Place:
    """Return where a table is drawn in place."""
    return Cell() if console.is_jupyter else Terminal(console)


class Terminal:
    """A terminal: the table goes away at the end, for the leaderboard takes its place."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def show(self, shown: RenderableType) -> None:
        """See `Place`."""
        self._live.update(shown, refresh=True)

    def close(self) -> None:
        """See `Place`."""
        self._live.stop()


class Cell:
    """The cell of a notebook: the last table stays, as the record of the search.

    Rich's own way needs ipywidgets, which neither Colab nor a plain Jupyter brings along to a kernel of its own.
    """

    def __init__(self) -> None:
        self._handle: Any = None  # of what is displayed

    def show(self, shown: RenderableType) -> None:
        """See `Place`."""
        from IPython.display import HTML, display  # where there is a cell, it is there

        console = Console(record=True, file=io.StringIO(), width=_COLUMNS, highlight=False, force_jupyter=False)
        console.print(shown)
        frame = "<pre style='line-height:1.3;font-family:monospace'>{code}</pre>"
        page = HTML(console.export_html(inline_styles=True, code_format=frame))
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)

    def close(self) -> None:
        """See `Place`."""
