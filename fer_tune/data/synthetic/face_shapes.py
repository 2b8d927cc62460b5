"""Soft-edged shapes on a batch of images: what the drawing of faces is made of.

A shape is its signed distance (negative inside), an array (B, H, W) in face units; `edge` is the width over which it
fades out, about one pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]  # float32; numpy's types call a product of scalar and array float64
Layer = Mapping[str, Array]
Number = Any  # a number, or an array that broadcasts to (B, H, W)


def cover(distance: Array, edge: Number) -> Array:
    """Return how much of each pixel a shape covers, in [0, 1]."""
    covered: Array = np.clip(0.5 - distance / edge, 0.0, 1.0)
    return covered


def over(canvas: Array, tone: Number, alpha: Array) -> None:
    """Paint ``tone`` over ``canvas``, in place, as far as ``alpha`` says."""
    canvas += (tone - canvas) * alpha


def ellipse(du: Number, dv: Number, half_width: Number, half_height: Number) -> Array:
    """Return the signed distance (near its outline) to an ellipse around (0, 0)."""
    a, b = du / half_width, dv / half_height
    distance: Array = (np.sqrt(a * a + b * b) - 1.0) * np.minimum(half_width, half_height)
    return distance


def between(v: Array, top: Number, bottom: Number, overrun: Number) -> Array:
    """Return the signed distance to the region below ``top``, above ``bottom`` and where ``overrun`` is negative."""
    distance: Array = np.maximum(np.maximum(top - v, v - bottom), overrun)
    return distance


def stroke(v: Array, line: Number, half_thickness: Number, overrun: Number) -> Array:
    """Return the signed distance to a line v = ``line`` of the given thickness, where ``overrun`` is negative."""
    distance: Array = np.maximum(np.abs(v - line) - half_thickness, overrun)
    return distance
