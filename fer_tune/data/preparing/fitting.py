"""Bringing a picture to the height and width of a dataset without squashing a face, in preparing and in predicting."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageOps

from fer_tune.data.preparing.readers.base import Pixels
from fer_tune.errors import UserError

Fit = Literal["pad", "crop", "stretch"]


def checked_fit(fit: str) -> Fit:
    """Return ``fit``.

    Raises:
        UserError: it is none of pad, crop and stretch.
    """
    for known in get_args(Fit):
        if fit == known:
            found: Fit = known
            return found
    raise UserError(f"--fit {fit}: it is pad (black around), crop (the middle) or stretch")


def fitted(image: Pixels, height: int, width: int, fit: Fit) -> Pixels:
    """Return ``image``, (H, W) or (H, W, 3) uint8, at ``height`` x ``width``, antialiased (Lanczos).

    Args:
        image: any size.
        height: in pixels.
        width: in pixels.
        fit: where the shapes differ: ``pad`` with black, ``crop`` the middle, or ``stretch``.
    """
    if image.shape[:2] == (height, width):
        return image
    picture = Image.fromarray(image)
    if fit == "pad":
        return np.asarray(ImageOps.pad(picture, (width, height), Image.Resampling.LANCZOS))
    if fit == "crop":
        return np.asarray(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS))
    return np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
