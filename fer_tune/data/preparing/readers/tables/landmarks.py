"""Faces aligned by five points: eyes, nose, corners of the mouth, brought to where they are in every image.

The places are those of ArcFace (Deng et al. 2019, arXiv 1801.07698) in an image of 112x112 pixels; the map is the
similarity, turn, scale and shift, that is nearest in least squares (Umeyama 1991, IEEE TPAMI 13:376).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_tune.data.preparing.readers.base import Pixels, UnreadableError

Points = tuple[tuple[float, float], ...]
"""Five points (x, y) in pixels: left eye, right eye, nose, left and right corner of the mouth."""

_SIDE = 112
_PLACES = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
_SWAPPED = (1, 0, 2, 4, 3)  # for some left is the person's, for others the picture's
_OF_68 = (range(36, 42), range(42, 48), (30,), (48,), (54,))  # eyes, nose and mouth among the 68 points of iBUG 300-W
_LEAST, _MOST = 16, 1024  # pixels a side: below nothing is left of a face, above the points are no face


def points_of(values: Mapping[str, Any], names: Sequence[str]) -> Points | None:
    """Return the five points of a row, from ten columns or one; None where the table has none.

    Args:
        values: the row.
        names: of the ten columns, or of one that holds ten numbers, or the 136 of 68 points.

    Raises:
        UnreadableError: they are not such numbers, or of no face.
    """
    if not names:
        return None
    cells = [values[name] for name in names]
    if len(cells) == 1:
        cells = re.findall(r"-?\d+(?:\.\d+)?", str(cells[0]))
    try:
        numbers = np.asarray(cells, dtype=float)
    except (TypeError, ValueError):
        raise UnreadableError(f"landmarks {cells!r} are no numbers") from None
    return five_of(numbers)


def five_of(numbers: npt.NDArray[np.float64]) -> Points:
    """Return five points of the ten numbers, or of the 136 of 68 points, x and y in turn.

    Raises:
        UnreadableError: there are not so many, one is none, or they are of no face.
    """
    if numbers.size not in (10, 136) or not np.isfinite(numbers).all():
        raise UnreadableError(f"landmarks: {numbers.size} numbers, expected x and y of 5 points, or of 68")
    pairs = numbers.reshape(-1, 2)
    if len(pairs) > 5:
        pairs = np.stack([pairs[list(places)].mean(0) for places in _OF_68])
    points = tuple((float(x), float(y)) for x, y in pairs)
    _frame(points)
    return points


def aligned(image: Pixels, points: Points, side: int | None = None) -> Pixels:
    """Return the face in ``image`` with its points in their places; black beyond the picture.

    Args:
        image: (H, W) or (H, W, 3).
        points: five, in pixels of the picture.
        side: S, of the face's frame in pixels; as large as the face is in the picture where None.

    Returns:
        (S, S) or (S, S, 3) uint8.

    Raises:
        UnreadableError: the points are of no face in the picture.
    """
    turn, scale, shift, own = _frame(points)
    side = side or own
    back = turn.T / scale  # from the places to the picture
    step = back * (_SIDE / side)
    start = -back @ shift
    data = (step[0, 0], step[0, 1], start[0], step[1, 0], step[1, 1], start[1])
    picture = Image.fromarray(image)
    return np.asarray(picture.transform((side, side), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC))


def _frame(points: Points) -> tuple[npt.NDArray[np.float64], float, npt.NDArray[np.float64], int]:
    """Return rotation (2, 2), scale and shift (2,) from ``points`` to their places, and the side of their frame.

    Raises:
        UnreadableError: the points are of no face.
    """
    given, wanted = np.asarray(points), np.asarray(_PLACES)
    turn, scale, shift = min(
        (_similarity(given, wanted), _similarity(given[list(_SWAPPED)], wanted)), key=lambda found: found[3]
    )[:3]
    side = round(_SIDE / scale) if scale > 0 else 0
    if not _LEAST <= side <= _MOST:
        raise UnreadableError(f"landmarks {[tuple(map(round, point)) for point in points]} are of no face")
    return turn, scale, shift, side


def _similarity(
    given: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float, npt.NDArray[np.float64], float]:
    """Return rotation (2, 2), scale, shift (2,) from ``given`` to ``wanted``, (5, 2) each, and what is left over."""
    one, two = given - given.mean(0), wanted - wanted.mean(0)
    left, values, right = np.linalg.svd(two.T @ one)
    signs = np.array([1.0, np.sign(np.linalg.det(left @ right))])  # never a mirror image
    turn = left @ np.diag(signs) @ right
    spread = float((one**2).sum())
    scale = float((values * signs).sum()) / spread if spread > 0 else 0.0
    shift = wanted.mean(0) - scale * turn @ given.mean(0)
    left_over = float(((scale * given @ turn.T + shift - wanted) ** 2).sum())
    return turn, scale, shift, left_over
