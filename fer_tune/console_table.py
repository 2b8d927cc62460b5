"""Tables for a console of any width, or none: where one would lose letters, a list of its rows takes its place."""

from __future__ import annotations

import os
from itertools import zip_longest

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_USUAL = 80  # columns that tables are made for; from there on a long name may be cut, and the table stays one
_INDENT = "  "  # of a row's cells below its name
_ENDLESS = 10_000  # columns of a pipe or a file: wider than any table here, and rich asks for a number


def table_console(soft_wrap: bool = False) -> Console:
    """Return the console for what a command says on stdout.

    On a terminal, and where COLUMNS is set, its width is theirs.  A pipe or a file has none: each row of a table is one
    line there, so that ``fer-tune published list | grep resnet18`` finds every name whole.

    Examples:
        >>> table_console(soft_wrap=True).soft_wrap
        True
    """
    console = Console(highlight=False, soft_wrap=soft_wrap)
    if not (console.is_terminal or console.is_jupyter or os.environ.get("COLUMNS", "").isdigit()):
        console.width = _ENDLESS
    return console


class ConsoleTable(Table):
    """A table of rich, told row by row where the console is narrower than usual and the words do not fit.

    Rich cuts every cell until the table fits: of ten columns, none is left a letter.

    Examples:
        >>> table = ConsoleTable("class", "images", title="faces")
        >>> table.add_row("disgust", "547")
        >>> Console(width=16).print(table)
        faces
        disgust
          images: 547
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = _needed(self, console, options.update(width=_USUAL))
        if options.max_width >= min(needed, _USUAL):
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield _folded(self.title)
        names = [str(column.header) for column in self.columns]
        for first, *others in zip_longest(*(column.cells for column in self.columns), fillvalue=""):
            yield _folded(first)
            for name, cell in zip(names[1:], others, strict=True):
                if cell:
                    room = max(1, options.max_width - len(_INDENT))
                    for line in _folded(cell, before=f"{name}: ").wrap(console, room):
                        yield Text(_INDENT) + line


def _needed(table: Table, console: Console, options: ConsoleOptions) -> int:
    """Return the columns in which no word is broken, and nothing that is to stay on one line."""
    needed = Measurement.get(console, options, table).minimum
    for column in table.columns:
        if column.no_wrap:
            sizes = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
            needed += max(size.maximum for size in sizes) - max(size.minimum for size in sizes)
    return needed


def _folded(cell: object, before: str = "") -> Text:
    text = cell if isinstance(cell, Text) else Text.from_markup(str(cell))
    return Text.assemble(before, text, overflow="fold", no_wrap=False)
