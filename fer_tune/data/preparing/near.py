"""Near-duplicates: images that differ in their pixels, but not to the eye.

The fingerprint is a difference hash: the image is averaged down to 17x16 grey cells, and each of 256 bits tells
whether a cell is brighter than its left neighbour by more than 4 of 255. Two images are near-duplicates where at most
20 bits differ. Seen on FER2013: of 600 images, 99 % or more stay within that after JPEG compression at quality 50,
a change of brightness, or resizing by half or double, while of 3.1 million pairs of different images 2 did. Shifted
or mirrored copies are not found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from fer_tune.data.preparing.readers.base import Pixels

BITS = 256
NEAR = 20  # bits
_MARGIN = 4  # of 255; less is noise of flat regions
_BLOCK = 2048  # rows and columns of the table of distances that are held at once: 16 MB

Prints = npt.NDArray[np.uint8]  # (N, 32)


@dataclass(frozen=True)
class Nearest:
    """What is near each of N images among the others."""

    beside: npt.NDArray[np.bool_]  # (N, S): a near-duplicate stands in that set
    index: npt.NDArray[np.int64]  # (N,) the nearest one, -1 where none is near
    bits: npt.NDArray[np.int64]  # (N,) its distance


def fingerprint(image: Pixels) -> bytes:
    """Return the 32 bytes of the fingerprint of an image, (H, W) or (H, W, 3) uint8."""
    small = Image.fromarray(image).convert("L").resize((17, 16), Image.Resampling.BOX)
    cells = np.asarray(small).astype(np.int16)
    return np.packbits(cells[:, 1:] - cells[:, :-1] > _MARGIN).tobytes()


def stacked(prints: Iterable[bytes]) -> Prints:
    """Return fingerprints as (N, 32) uint8."""
    return np.frombuffer(b"".join(prints), np.uint8).reshape(-1, BITS // 8)


def is_near(one: bytes, others: Prints) -> bool:
    """Tell whether ``one`` is a near-duplicate of any of ``others``."""
    differing = others.view(np.uint64) ^ np.frombuffer(one, np.uint64)
    return bool((np.bitwise_count(differing).sum(axis=1) <= NEAR).any())


def nearest(prints: Prints, members: npt.NDArray[np.bool_]) -> Nearest:
    """Compare all fingerprints with each other.

    Memory does not grow with the square of N; time does, as half a product of N x 256 matrices.

    Args:
        prints: (N, 32), of images that all differ in their pixels.
        members: (N, S), which of S sets each image stands in.
    """
    count = len(prints)
    beside = np.zeros(members.shape, bool)
    index, bits = np.full(count, -1), np.full(count, BITS + 1)

    def note(place: int, others: npt.NDArray[np.int64]) -> None:
        beside[place] |= members[others].any(axis=0)
        distance = np.bitwise_count(prints[others] ^ prints[place]).sum(axis=1)
        if distance.min() < bits[place]:
            index[place], bits[place] = others[distance.argmin()], distance.min()

    for top in range(0, count, _BLOCK):
        rows = _signs(prints[top : top + _BLOCK])
        for left in range(top, count, _BLOCK):
            close = rows @ _signs(prints[left : left + _BLOCK]).T >= BITS - 2 * NEAR  # agreeing less differing bits
            if left == top:
                np.fill_diagonal(close, False)
            for row in np.flatnonzero(close.any(axis=1)):
                note(top + int(row), np.flatnonzero(close[row]) + left)
            if left > top:
                for column in np.flatnonzero(close.any(axis=0)):
                    note(left + int(column), np.flatnonzero(close[:, column]) + top)
    return Nearest(beside, index, bits)


def _signs(prints: Prints) -> npt.NDArray[np.float32]:
    return np.unpackbits(prints, axis=1).astype(np.float32) * 2 - 1
