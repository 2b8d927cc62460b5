"""Resizing a batch on its device."""

from __future__ import annotations

import torch
from torch import Tensor


def resize(images: Tensor, size: int) -> Tensor:
    """Resize to ``size`` x ``size`` pixels, bilinear, antialiased where that shrinks.

    Args:
        images: (B, C, H, W) float32.
        size: pixels a side.

    Returns:
        (B, C, size, size) float32 in the memory format of ``images``; ``images`` itself where they have that size.
    """
    if images.shape[-2:] == (size, size):
        return images
    return torch.nn.functional.interpolate(
        images, size=(size, size), mode="bilinear", align_corners=False, antialias=True
    )
