"""RAF-DB's photographs before they were aligned, and the files that tell where the face in each is.

Beside ``Image/original/train_00001.jpg`` its authors give ``Annotation/manual/train_00001_manu_attri.txt``, whose first
five lines are x and y of the eyes, the nose and the corners of the mouth (gender, race and age follow), and
``Annotation/boundingbox/train_00001_boundingbox.txt``, left, top, right and bottom of the face; all in pixels of the
photograph.  Source: see `codes`, and the readme that comes with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_tune.data.preparing.readers.base import Pixels, Sample, UnreadableError
from fer_tune.data.preparing.readers.tables.boxes import Box, cropped
from fer_tune.data.preparing.readers.tables.landmarks import aligned, five_of
from fer_tune.data.preparing.readers.trees.images import decode, readable


class Original(NamedTuple):
    """Where a photograph and what is known of its face are."""

    file: Path
    points: Path
    box: Path


def original(root: Path, name: str) -> Original:
    """Return the places of an image such as ``train_00001.jpg`` below ``root``, the folder of ``Image/``."""
    stem, marks = Path(name).stem, root / "Annotation"
    return Original(
        root / "Image" / "original" / name,
        marks / "manual" / f"{stem}_manu_attri.txt",
        marks / "boundingbox" / f"{stem}_boundingbox.txt",
    )


def aligned_original(sample: Sample) -> Pixels:
    """Return the face with its five points in their places.

    Raises:
        UnreadableError: the image or its points cannot be read.
    """
    place: Original = sample.place
    return aligned(decode(place.file, 3), five_of(_numbers(place.points, 10)))


def cut_original(sample: Sample) -> Pixels:
    """Return the face in its box, with a margin.

    Raises:
        UnreadableError: the image or its box cannot be read.
    """
    place: Original = sample.place
    return cropped(decode(place.file, 3), Box(*_numbers(place.box, 4)))


def _numbers(file: Path, count: int) -> npt.NDArray[np.float64]:
    """Return the first ``count`` numbers of a file."""
    try:
        return np.array(file.read_text(encoding="utf-8").split()[:count], dtype=float).reshape(count)
    except (OSError, ValueError):
        raise UnreadableError(f"no {count} numbers in Annotation/{file.parent.name}/{readable(file.name)}") from None
