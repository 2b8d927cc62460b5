"""Common corruptions of images at five strengths, after Hendrycks & Dietterich (ICLR 2019, arXiv 1903.12261).

==========  ===================================  =====================================================
corruption  what its parameter is                the parameter at 48 pixels, strengths 1 to 5
==========  ===================================  =====================================================
blur        sigma of a Gaussian, in pixels       0.46, 0.69, 0.88, 1.06, 1.29
noise       standard deviation of a Gaussian     0.04, 0.072, 0.103, 0.125, 0.147 of the full range
jpeg        quality of the file                  71, 61, 53, 44, 31
brightness  added to the value (HSV)             0.079, 0.158, 0.238, 0.317, 0.417 of the full range
darkness    taken from the value                 as brightness
occlusion   side of a square of one grey         0.2, 0.3, 0.4, 0.5, 0.6 of the side: 4 to 36 % of the image
==========  ===================================  =====================================================

The first four are those of the paper's CIFAR-10-C (32 pixels), Tiny ImageNet-C (64) and ImageNet-C (224), from its code
(github.com/hendrycks/robustness), and between these sides they are interpolated over the logarithm of the side: what
blurs a large image wipes out a small one.  Below 32 and above 224 pixels blur goes with the side, the others stay.

The paper only brightens; faces are as often too dark, so darkness takes away as much.  It has no occlusion either:
hands, hair and masks hide parts of faces, and the areas lie within those of Random Erasing (2 to 40 %; Zhong et al.,
AAAI 2020).  The square lies anywhere within the image, and its grey is drawn.
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fer_tune.data.batching.degrading import blurred

Pixels = NDArray[np.uint8]

CORRUPTIONS: tuple[str, ...] = ("blur", "noise", "jpeg", "brightness", "darkness", "occlusion")
STRENGTHS: tuple[int, ...] = (1, 2, 3, 4, 5)

_SIDES = (32, 64, 224)
_BRIGHTNESS = ((0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5))
_PUBLISHED: dict[str, tuple[tuple[float, ...], ...]] = {  # a row for each of `_SIDES`
    "blur": ((0.4, 0.6, 0.7, 0.8, 1.0), (0.5, 0.75, 1.0, 1.25, 1.5), (1.0, 2.0, 3.0, 4.0, 6.0)),
    "noise": ((0.04, 0.06, 0.08, 0.09, 0.1), (0.04, 0.08, 0.12, 0.15, 0.18), (0.08, 0.12, 0.18, 0.26, 0.38)),
    "jpeg": ((80, 65, 58, 50, 40), (65, 58, 50, 40, 25), (25, 18, 15, 10, 7)),
    "brightness": _BRIGHTNESS,
    "darkness": _BRIGHTNESS,
}
_HIDDEN = (0.2, 0.3, 0.4, 0.5, 0.6)


def parameter(kind: str, strength: int, side: int) -> float:
    """Return the parameter of a corruption, see the table above.

    Args:
        kind: one of `CORRUPTIONS`.
        strength: one of `STRENGTHS`.
        side: pixels of the shorter side.

    >>> parameter("noise", 5, 224), parameter("blur", 5, 448), parameter("jpeg", 1, 48)
    (0.38, 12.0, 71)
    """
    if kind == "occlusion":
        return _HIDDEN[strength - 1]
    column = [row[strength - 1] for row in _PUBLISHED[kind]]
    value = float(np.interp(math.log(side), np.log(_SIDES), column))
    if kind == "blur":
        return value * side / min(max(side, _SIDES[0]), _SIDES[-1])
    return round(value) if kind == "jpeg" else value


def corrupted(images: Pixels, kind: str, strength: int, seed: int = 0, first: int = 0) -> Pixels:
    """Return corrupted copies of ``images``.

    What is drawn for an image depends on the seed, the corruption, its strength and the place of the image alone: any
    part of a split is corrupted as the whole is, on any machine.

    Args:
        images: (N, H, W, C) uint8, C 1 or 3.
        kind: one of `CORRUPTIONS`.
        strength: one of `STRENGTHS`.
        seed: what is drawn from.
        first: the place of the first image in its split.

    Returns:
        (N, H, W, C) uint8.
    """
    value = parameter(kind, strength, min(images.shape[1:3]))
    if kind == "jpeg":
        return _compressed(images, int(value))
    pixels = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2).div_(255)
    number, places = CORRUPTIONS.index(kind), range(first, first + len(images))
    generators = [np.random.default_rng((seed, number, strength, place)) for place in places]
    if kind == "blur":
        pixels = blurred(pixels, torch.full((len(pixels),), value), value)
    elif kind == "noise":
        drawn = [each.standard_normal(pixels.shape[1:], dtype=np.float32) for each in generators]
        pixels = pixels + value * torch.from_numpy(np.stack(drawn))
    elif kind == "occlusion":
        for image, each in zip(pixels, generators, strict=True):
            _hide(image, value, each)
    else:
        pixels = _lighter(pixels, value if kind == "brightness" else -value)
    return _as_bytes(pixels)


def _compressed(images: Pixels, quality: int) -> Pixels:
    """Write every image as a JPEG file, and read it: what a camera does, not what augmentation makes of it."""
    return np.stack([_through_jpeg(image, quality) for image in images])


def _through_jpeg(image: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).reshape(image.shape)


def _lighter(pixels: Tensor, added: float) -> Tensor:
    """Add to the value of HSV, which is the largest channel; hue and saturation stay."""
    value = pixels.amax(1, keepdim=True)
    target = (value + added).clamp(0, 1)
    return torch.where(value > 0, pixels * (target / value.clamp(min=1 / 255)), target)


def _hide(image: Tensor, share: float, drawn: np.random.Generator) -> None:
    """Put a square of one grey into (C, H, W) pixels."""
    height, width = image.shape[1:]
    side = max(1, round(share * min(height, width)))
    top, left = (int(drawn.integers(0, room - side + 1)) for room in (height, width))
    image[:, top : top + side, left : left + side] = float(drawn.random())


def _as_bytes(pixels: Tensor) -> Pixels:
    found: Pixels = pixels.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return found
