"""Saturation and hue of RGB images as one linear map, which keeps their luminance.

Source: the matrices ``saturate`` and ``hueRotate`` of W3C's Filter Effects Module Level 1, feColorMatrix.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

_LUMA = (0.213, 0.715, 0.072)  # of linear sRGB, as the standard rounds them
_SINE = ((-0.213, -0.715, 0.928), (0.143, 0.140, -0.283), (-0.787, 0.715, 0.072))


def colour_matrix(saturation: Tensor, hue: Tensor) -> Tensor:
    """Return (B, 3, 3) float32, which turns the hue and then scales the saturation.

    Args:
        saturation: (B,) float32, factor; 0 makes an image grey, 1 leaves it.
        hue: (B,) float32, radians; 0 leaves it.
    """
    grey, same, sine = _constants(saturation.device)
    turned = grey + (same - grey) * torch.cos(hue).view(-1, 1, 1) + sine * torch.sin(hue).view(-1, 1, 1)
    return torch.lerp(grey, same, saturation.view(-1, 1, 1)) @ turned


@functools.cache  # a step that is captured may bring nothing over from the host
def _constants(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return (3, 3) each: luminance in every row, the identity, and what the sine of a turn takes."""
    return torch.tensor([_LUMA] * 3).to(device), torch.eye(3, device=device), torch.tensor(_SINE).to(device)
