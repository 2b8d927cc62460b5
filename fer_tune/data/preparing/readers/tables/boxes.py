"""Faces cut out of pictures by a box."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fer_tune.data.preparing.readers.base import Pixels, UnreadableError
from fer_tune.data.preparing.readers.trees.images import decode

MARGIN = 0.1  # of the box's width and height, added on each side: boxes of detectors cut off forehead and chin


class Box(NamedTuple):
    """A face in a picture, in pixels from its upper left corner; right and bottom are not in it."""

    left: float
    top: float
    right: float
    bottom: float


class Boxed(NamedTuple):
    """Where the pixels of a sample are: a picture, and a box in it."""

    file: Path
    box: Box


def cropped(image: Pixels, box: Box, margin: float = MARGIN) -> Pixels:
    """Return the part of ``image`` in ``box`` and a margin around it, as far as the picture goes.

    Raises:
        UnreadableError: the box is empty, or lies outside the picture.
    """
    left, top, right, bottom = box
    wide, high = margin * (right - left), margin * (bottom - top)
    height, width = image.shape[:2]
    x = max(0, round(left - wide)), min(width, round(right + wide))
    y = max(0, round(top - high)), min(height, round(bottom + high))
    if right <= left or bottom <= top or x[0] >= x[1] or y[0] >= y[1]:
        raise UnreadableError(f"box {left:g}, {top:g}, {right:g}, {bottom:g} outside the picture of {width}x{height}")
    return image[y[0] : y[1], x[0] : x[1]]


def load_boxed(place: Boxed) -> Pixels:
    """Decode a picture and cut the box out of it."""
    return cropped(decode(place.file), place.box)
