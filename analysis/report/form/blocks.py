"""What a report is made of: sections, the few kinds of blocks in them, and text. `rendering` says how they look."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from analysis.charts.look import Chart

_CODE = re.compile(r"`([^`]+)`")

Place = Literal[
    "comparison",
    "differences",
    "classes",
    "held-out",
    "groups",
    "corruptions",
    "calibration",
    "errors",
    "refits",
    "search",
    "pareto",
    "settings",
]
"""Where in a report figures stand: `pictures` says it of each, a section shows all of one place."""


@dataclass(frozen=True)
class Span:
    """A piece of text: prose, or code such as a command or a file."""

    text: str
    code: bool = False


Text = tuple[Span, ...]


def text(*parts: str | Span) -> Text:
    """Return text from prose and spans; in prose, what stands between backticks becomes code.

    >>> text("Next: `fer-tune test`.")
    (Span(text='Next: ', code=False), Span(text='fer-tune test', code=True), Span(text='.', code=False))
    """
    found: list[Span] = []
    for part in parts:
        pieces = [part] if isinstance(part, Span) else _spans(part)
        found += [piece for piece in pieces if piece.text]
    return tuple(found)


def _spans(prose: str) -> list[Span]:
    return [Span(piece, bool(number % 2)) for number, piece in enumerate(_CODE.split(prose))]  # odd: the group's


@dataclass(frozen=True)
class Paragraph:
    """A paragraph: plain, quiet (what a table holds, how it was measured), a warning, or the report's answer."""

    kind: ClassVar[str] = "paragraph"
    text: Text
    look: Literal["plain", "quiet", "warning", "answer"] = "plain"


@dataclass(frozen=True)
class Note:
    """A sentence to act on, such as the next command."""

    kind: ClassVar[str] = "note"
    text: Text


@dataclass(frozen=True)
class Bullets:
    """A list."""

    kind: ClassVar[str] = "bullets"
    items: list[Text]


@dataclass(frozen=True)
class Definitions:
    """Names, each with what is to be said of it."""

    kind: ClassVar[str] = "definitions"
    items: list[tuple[Text, Text]]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    ``look``: cells are plain, small, or long (small too, and wide; a phone gives them a line of their own).  ``label``
    stands before a cell where a phone shows each row as a block; the name, where that is short enough.
    """

    name: str
    align: Literal["left", "right"] = "left"
    label: str = ""
    look: Literal["plain", "small", "long"] = "plain"
    choices: bool = False  # a reader may keep the rows of one of its cells alone, in a table with `Table.first`

    @property
    def short(self) -> str:
        """The label of the cells."""
        return self.label or self.name


@dataclass(frozen=True)
class Cell:
    """A cell: its text, and what stands under it, quieter."""

    text: Text
    under: Text = ()


@dataclass(frozen=True)
class Row:
    """A row of a table; ``ours`` stands out."""

    cells: list[Cell]
    ours: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first cell names its row, and every row has a cell for each column.

    Where ``first`` is set, those rows alone are shown before a reader of the page asks for others, and in Markdown.
    """

    kind: ClassVar[str] = "table"
    columns: list[Column]
    rows: list[Row]
    first: int = 0


def row(*cells: str | Cell, ours: bool = False) -> Row:
    """Return a row; a string is a cell with nothing under it."""
    return Row([cell if isinstance(cell, Cell) else Cell(text(cell)) for cell in cells], ours)


def stacked(first: str, second: str) -> Cell:
    """Return a cell with ``second`` under ``first``."""
    return Cell(text(first), text(second))


def quiet(prose: str) -> Paragraph:
    """Return a quiet paragraph."""
    return Paragraph(text(prose), "quiet")


@dataclass(frozen=True)
class Picture:
    """A figure: ``name`` is that of its files in ``figures/``, ``data`` its png in base64.

    A page has its interactive ``chart`` in its place, where there is one. ``only``: it stands in a page alone, or on
    paper alone (in Markdown), where a page has another block for what it shows.
    """

    kind: ClassVar[str] = "picture"
    place: Place
    name: str
    caption: str
    data: str
    of: str = ""  # the backbone, where a place is there for each
    chart: Chart | None = None
    only: Literal["", "page", "paper"] = ""


@dataclass(frozen=True)
class Mistake:
    """An image that was taken for another class: its address (``data:``), the two classes, and what stands below."""

    image: str
    true: str
    predicted: str
    words: str


@dataclass(frozen=True)
class Gallery:
    """Mistakes, of which a reader may pick a true and a predicted class; Markdown has the sheets of pictures alone."""

    kind: ClassVar[str] = "gallery"
    items: list[Mistake]
    caption: str


def pictures_at(pictures: list[Picture], place: Place, of: str = "") -> list[Picture]:
    """Return the pictures of one place, in the order in which they were drawn."""
    return [picture for picture in pictures if (picture.place, picture.of) == (place, of)]


Block = Paragraph | Note | Bullets | Definitions | Table | Picture | Gallery


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: list[Block]

    @property
    def anchor(self) -> str:
        """What a link to the section ends in."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Report:
    """A report: its title, what stands before the first heading, and the sections."""

    title: str
    opening: list[Block]
    sections: list[Section]
