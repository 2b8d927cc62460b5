"""What the cells of a table mean: a label, a box, votes, an image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_tune.data.preparing.readers.base import Pixels, UnreadableError
from fer_tune.data.preparing.readers.tables.boxes import Box, cropped
from fer_tune.data.preparing.readers.tables.columns import Columns
from fer_tune.data.preparing.readers.tables.files import Table
from fer_tune.data.preparing.readers.tables.landmarks import Points, aligned, points_of
from fer_tune.data.preparing.readers.trees.images import EMPTY, decode


class Cell(NamedTuple):
    """Where the pixels of a sample are: a file of their own, or a row of a table; and the face in them."""

    table: Table
    row: int
    columns: Columns
    file: Path | None
    box: Box | None
    points: Points | None = None


def load_cell(place: Cell, *, align: bool = True) -> Pixels:
    """Return the image of one row; its face turned and scaled by its points, or cut out by its box.

    Args:
        place: of the row.
        align: by the points, where there are any.

    Raises:
        UnreadableError: there is none, or it is damaged.
    """
    if place.file is not None:
        image = decode(place.file)
    else:
        column = place.columns.image or place.columns.pixels or ""
        image = _image(place.table.value(place.row, column))
    if align and place.points is not None:  # they tell more than a box
        return aligned(image, place.points)
    return image if place.box is None else cropped(image, place.box)


def label_of(value: Any, names: Sequence[str], codes: Mapping[str, str] | None) -> str | None:
    """Return the class that a cell means; None where it has no label, "" where it is to be left out.

    Raises:
        UnreadableError: it is a number that means nothing.
    """
    if value is None or (isinstance(value, float) and np.isnan(value)) or str(value).strip() in ("", "-1"):
        return None
    text = str(int(value)) if isinstance(value, float) and value == int(value) else str(value).strip()
    text = re.sub(r"^(\d+)\.0+$", r"\1", text)
    if codes is not None:
        if text not in codes:
            raise UnreadableError(f"unknown label {text!r}; there are {', '.join(codes)}")
        return codes[text]
    if names and text.isdigit():
        if int(text) >= len(names):
            raise UnreadableError(f"label {text}, but the schema names {len(names)} classes")
        return names[int(text)]
    return text


def face_of(values: Mapping[str, Any], columns: Columns) -> tuple[Box | None, Points | None]:
    """Return the box and the five points of a row, each None where the table has none.

    Where a row's points cannot be used, its box does too.

    Raises:
        UnreadableError: the box is not four numbers, or the points are none of a face and there is no box.
    """
    box = _box(values, columns)
    try:
        return box, points_of(values, columns.landmarks)
    except UnreadableError:
        if box is None:
            raise
        return box, None


def _box(values: Mapping[str, Any], columns: Columns) -> Box | None:
    if not columns.box:
        return None
    cells = [values[name] for name in columns.box]
    if len(cells) == 1:
        cells = list(cells[0]) if isinstance(cells[0], list) else re.findall(r"-?\d+(?:\.\d+)?", str(cells[0]))
    try:
        a, b, c, d = map(float, cells)
    except (ValueError, TypeError):
        raise UnreadableError(f"box {cells!r} is not four numbers") from None
    return Box(a, b, c, d) if columns.is_corners else Box(a, b, a + c, b + d)


def most_voted(votes: Mapping[str, int]) -> str | None:
    """Return what most voted for, None where two have as many."""
    most = max(votes.values(), default=0)
    found = [name for name, count in votes.items() if count == most]
    return found[0] if most > 0 and len(found) == 1 else None


def _image(value: Any) -> Pixels:
    """Return the image in a cell: bytes, a struct with bytes, or numbers as text or a list."""
    if isinstance(value, dict):
        held = next((part for part in value.values() if isinstance(part, bytes)), None)
        if held is None:
            raise UnreadableError(f"no bytes, only the path {value.get('path')}; save the images into the table")
        value = held
    if isinstance(value, bytes):
        return decode(value)
    if value is None or (isinstance(value, str) and not value):
        raise UnreadableError(EMPTY)
    try:
        words = value.replace(",", " ").strip("[] ").split() if isinstance(value, str) else value
        numbers = np.asarray(words, dtype=np.int64)
    except (ValueError, OverflowError, TypeError):
        raise UnreadableError("the pixels are no whole numbers") from None
    if numbers.size == 0 or numbers.min() < 0 or numbers.max() > 255:
        raise UnreadableError("the pixels are no numbers from 0 to 255")
    if numbers.ndim == 1:
        grey, colour = isqrt(numbers.size), isqrt(numbers.size // 3)
        if grey * grey == numbers.size:
            numbers = numbers.reshape(grey, grey)
        elif colour * colour * 3 == numbers.size:
            numbers = numbers.reshape(colour, colour, 3)
        else:
            raise UnreadableError(f"{numbers.size} pixel values make no square image")
    if numbers.ndim == 3 and numbers.shape[2] == 1:
        numbers = numbers[..., 0]
    if numbers.ndim not in (2, 3) or (numbers.ndim == 3 and numbers.shape[2] != 3):
        raise UnreadableError(f"pixels of the shape {numbers.shape} are no image")
    return numbers.astype(np.uint8)
