"""What cameras and the web do to pictures: blur, and the artefacts of JPEG; for a batch of tensors, on their device.

On a GPU shapes do not depend on what is drawn, so that a step which is captured once can replay it: every image is
computed, and those that nothing was drawn for are taken as they were.  On a CPU only those that something was drawn for
are computed, which comes to the same.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

# Tables K.1 and K.2 of ITU-T T.81 (1992): how coarsely each frequency of an 8x8 block is kept at quality 50.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *[(99,) * 8] * 4,
)
_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))  # JFIF 1.02
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
_BLOCK = 8  # pixels a side


def blurred(images: Tensor, sigma: Tensor, most: float) -> Tensor:
    """Return ``images`` under a Gaussian of their own each, the edges repeated.

    Args:
        images: (B, C, H, W) float32.
        sigma: (B,) float32, in pixels; 0 leaves an image as it is, exactly.
        most: the largest that ``sigma`` may be, which sets how far the Gaussian is reckoned: three times that.
    """
    return _where(images, sigma, lambda some, own: _blurred(some, own, most))


def compressed(images: Tensor, quality: Tensor) -> Tensor:
    """Return ``images`` as they come out of a JPEG file: of colours every second is kept, in both directions.

    Args:
        images: (B, C, H, W) float32 in [0, 1], C 1 or 3.
        quality: (B,) float32, 1 to 100 as libjpeg reckons it; 0 leaves an image as it is, exactly.
    """
    return _where(images, quality, _compressed)


def _where(images: Tensor, drawn: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return ``images`` with those changed for which ``drawn`` is not 0, in their memory format."""
    last = images.is_contiguous(memory_format=torch.channels_last)
    if images.device.type == "cpu":
        chosen = drawn.nonzero().squeeze(1)
        if len(chosen):
            images = images.index_copy(0, chosen, change(images[chosen], drawn[chosen]))
    else:
        images = torch.where(drawn.view(-1, 1, 1, 1) > 0, change(images, drawn), images)
    return images.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _blurred(images: Tensor, sigma: Tensor, most: float) -> Tensor:
    count, channels, height, width = images.shape
    radius = min(max(1, math.ceil(3 * most)), min(height, width) - 1)
    away = torch.arange(-radius, radius + 1, device=images.device)
    weights = torch.exp(-0.5 * (away / sigma.clamp(min=1e-3).unsqueeze(1)) ** 2)  # 1e-3: one for the pixel itself alone
    weights = (weights / weights.sum(1, keepdim=True)).repeat_interleave(channels, 0)  # (B * C, 2 r + 1)
    around = torch.nn.functional.pad(images, (radius,) * 4, mode="replicate")
    flat = around.reshape(1, count * channels, *around.shape[2:])
    flat = torch.nn.functional.conv2d(flat, weights[:, None, None, :], groups=count * channels)
    flat = torch.nn.functional.conv2d(flat, weights[:, None, :, None], groups=count * channels)
    return flat.view(images.shape)


def _compressed(images: Tensor, quality: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    step = _BLOCK * (2 if images.shape[1] == 3 else 1)
    padding = (0, -width % step, 0, -height % step)
    pixels = torch.nn.functional.pad(images, padding, mode="replicate") if any(padding) else images
    # libjpeg's jpeg_quality_scaling
    scale = torch.where(quality < 50, 5000 / quality.clamp(min=1), 200 - 2 * quality) / 100
    if images.shape[1] == 1:
        found = _coarse(pixels * 255 - 128, _LUMINANCE, scale) + 128
    else:
        parts = _mapped(pixels * 255, _TO_YCBCR)
        brightness = _coarse(parts[:, :1] - 128, _LUMINANCE, scale)
        colours = _coarse(torch.nn.functional.avg_pool2d(parts[:, 1:], 2), _CHROMINANCE, scale)
        colours = torch.nn.functional.interpolate(colours, scale_factor=2.0, mode="bilinear", align_corners=False)
        found = _mapped(torch.cat([brightness + 128, colours], dim=1), _TO_RGB)
    return (found / 255).clamp(0, 1)[..., :height, :width]


def _coarse(planes: Tensor, table: tuple[tuple[int, ...], ...], scale: Tensor) -> Tensor:
    """Round the frequencies of each 8x8 block of ``planes``, (B, C, H, W), to multiples of the scaled ``table``."""
    count, channels, height, width = planes.shape
    blocks = torch.nn.functional.pixel_unshuffle(planes.reshape(-1, 1, height, width), _BLOCK)  # (B * C, 64, H/8, W/8)
    cosines = _cosines(planes.device)
    steps = (_constant(table, planes.device).view(1, -1) * scale.unsqueeze(1) + 0.5).floor().clamp(1, 255)
    steps = steps.repeat_interleave(channels, 0).unsqueeze(2)  # (B * C, 64, 1)
    kept = (cosines @ blocks.flatten(2)).div_(steps).round_().mul_(steps)
    found = (cosines.t() @ kept).view(blocks.shape)
    return torch.nn.functional.pixel_shuffle(found, _BLOCK).view(count, channels, height, width)


@functools.cache
def _cosines(device: torch.device) -> Tensor:
    """Return the orthogonal (64, 64) matrix of the cosine transform (type II) of a block, in both directions."""
    place = torch.arange(_BLOCK, device=device)
    matrix = torch.cos(math.pi / _BLOCK * (place + 0.5) * place.unsqueeze(1)) * math.sqrt(2 / _BLOCK)
    matrix = torch.where(place.unsqueeze(1) == 0, math.sqrt(1 / _BLOCK), matrix)
    return torch.kron(matrix, matrix)


def _mapped(pixels: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.einsum("dc,bchw->bdhw", _constant(matrix, pixels.device), pixels)


@functools.cache  # a step that is captured may bring nothing over from the host
def _constant(values: tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).to(device)
