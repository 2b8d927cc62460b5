"""Test-time augmentation: the views of an image whose predictions are averaged."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from fer_tune.data.batching.resizing import resize

Kind = Literal["none", "flip", "ten_crop"]
VIEWS: dict[str, int] = {"none": 1, "flip": 2, "ten_crop": 10}
"""How many views of an image each kind makes."""


def views(images: Tensor, kind: Kind, size: int | None = None) -> Tensor:
    """Return the views of each image.

    ``none`` is the image alone, ``flip`` the image and its mirror image. ``ten_crop`` is what Qutub and Atay (2023)
    publish as 40x40 crops of 48x48 images, here 5/6 of any side: the four corners (upper left, upper right, lower
    left, lower right) and the centre, then the same five of the mirror image, as torchvision's TenCrop has them.

    Args:
        images: (B, C, H, W) float32.
        kind: which views.
        size: resize every view to this many pixels a side, for networks that take one size only.

    Returns:
        (B, V, C, H', W') float32 with V of :data:`VIEWS`.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in VIEWS:
        raise ValueError(f"no views called {kind!r}; there are {', '.join(VIEWS)}")
    found = [images] if kind == "none" else [images, images.flip(-1)]
    if kind == "ten_crop":
        found = [crop for image in found for crop in _five_crop(image)]
    if size is not None:
        found = [resize(view, size) for view in found]
    return torch.stack(found, dim=1)


def _five_crop(images: Tensor) -> list[Tensor]:
    height, width = images.shape[-2:]
    rows, columns = (max(1, round(side * 5 / 6)) for side in (height, width))
    down, right = height - rows, width - columns
    centre = (round(down / 2), round(right / 2))  # rounded as torchvision does
    places = [(0, 0), (0, right), (down, 0), (down, right), centre]
    return [images[..., top : top + rows, left : left + columns] for top, left in places]
