"""What `augmentation: 0.6` means: every range below is a function of that one strength.

================  ============================  ======================================
transform         range at strength s           at 0.5, about what published systems use
================  ============================  ======================================
flip              with probability 0.5 (s > 0)  with probability 0.5
rotation          +-30 s degrees                +-15 degrees
scale             exp(+-0.25 s)                 0.88 to 1.13
translation       +-0.2 s of the side           +-10 %
shear             +-12 s degrees                +-6 degrees
brightness        +-0.4 s of the full range     +-0.2
contrast          factor exp(+-0.6 s)           0.74 to 1.35
erasing           with probability 0.5 s, one   with probability 0.25, sides of up to
                  rectangle, sides to 0.5 s     25 % of the image
saturation        factor exp(+-0.6 s)           0.74 to 1.35
hue               +-30 s degrees                +-15 degrees
greyscale         with probability 0.2 s        with probability 0.1
blur              with probability 0.5 s, sigma with probability 0.25, to 0.4 pixels of
                  to s / 60 of the side         48 or 1.9 of 224
jpeg              with probability 0.5 s,       with probability 0.25, quality 65 to 100
                  quality 100 - 70 s to 100
================  ============================  ======================================

Strength 0 is exactly the identity.  Every image draws its own parameters.  The geometric transforms (the first five)
are one affine map, so pixels are resampled once; it rotates and shears in pixels, whatever the shape of the image.  The
setting ``transforms`` leaves out those that it does not name; the others draw what they would draw with all.

The last five are of colour images; of grey ones ``all`` is the first eight; blur and jpeg they get where named.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fer_tune.config import COLOUR_ONLY, TRANSFORMS
from fer_tune.data.batching.degrading import blurred, compressed
from fer_tune.data.batching.hues import colour_matrix
from fer_tune.data.batching.resizing import resize

_OF_GREY = TRANSFORMS[:8]
_BLUR = 1 / 60  # of the side at strength 1: SimCLR's widest is 2 pixels of 224 (Chen et al. 2020, arXiv 2002.05709)


@dataclass(frozen=True)
class Augmentation:
    """Parameters drawn for a batch of B images; indexing takes those of a part of the batch.

    The last three are None where nothing of that kind is done.
    """

    affine: Tensor  # (B, 2, 3) float32: output to input coordinates, both in [-1, 1], for a square image
    brightness: Tensor  # (B,) float32, added; the full range is 1
    contrast: Tensor  # (B,) float32, factor around the image's mean
    erase: Tensor  # (B, 4) float32: left, top, right, bottom in [0, 1]; an empty rectangle erases nothing
    colour: Tensor | None = None  # (B, 2) float32: factor of the saturation (0 is grey), turn of the hue in radians
    blur: Tensor | None = None  # (B,) float32, sigma as a share of the shorter side; 0 does nothing
    jpeg: Tensor | None = None  # (B,) float32, quality of 1 to 100; 0 does nothing

    def __getitem__(self, part: slice | Tensor) -> Augmentation:
        kept = (getattr(self, each.name) for each in fields(self))
        return Augmentation(*(None if value is None else value[part] for value in kept))  # type: ignore[arg-type]


def draw(
    count: int, strength: float, generator: torch.Generator, transforms: str = "all", channels: int = 1
) -> Augmentation:
    """Draw the parameters for ``count`` images at ``strength`` in [0, 1], on the generator's device.

    Args:
        count: images.
        strength: see the table above.
        generator: what is drawn from; as much whichever transforms are used.
        transforms: ``all``, or names of `TRANSFORMS` with ``+`` between them.
        channels: 1 for grey images, 3 for coloured ones.
    """
    device = generator.device
    every = TRANSFORMS if channels == 3 else _OF_GREY
    used = every if transforms == "all" else transforms.split("+")

    def uniform(name: str, limit: float) -> Tensor:
        return (torch.rand(count, generator=generator, device=device) * 2 - 1) * (limit if name in used else 0.0)

    odds = 0.5 if "flip" in used else 0.0
    flip = torch.where(torch.rand(count, generator=generator, device=device) < odds, -1.0, 1.0)
    angle = uniform("rotation", math.radians(30 * strength))
    scale = torch.exp(uniform("scale", 0.25 * strength))
    shear = torch.tan(uniform("shear", math.radians(12 * strength)))
    limit = 0.4 * strength  # coordinates span 2, so 0.4 is 20 %
    move_x, move_y = uniform("translation", limit), uniform("translation", limit)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    affine = torch.stack(
        [
            torch.stack([flip * cos, flip * (shear * cos - sin), move_x], dim=1),
            torch.stack([sin, shear * sin + cos, move_y], dim=1),
        ],
        dim=1,
    )
    brightness = uniform("brightness", 0.4 * strength)
    contrast = torch.exp(uniform("contrast", 0.6 * strength))
    size = torch.rand(count, 2, generator=generator, device=device) * 0.5 * strength
    corner = torch.rand(count, 2, generator=generator, device=device) * (1 - size)
    odds = 0.5 * strength if "erasing" in used else 0.0
    size = size * (torch.rand(count, 1, generator=generator, device=device) < odds)
    erase = torch.cat([corner, corner + size], dim=1)
    if set(used) <= set(_OF_GREY):
        return Augmentation(affine, brightness, contrast, erase)

    # After the others, so that these draw what they always did.
    def at_times(name: str, odds: float) -> Tensor:
        return torch.rand(count, generator=generator, device=device) < (odds if name in used else 0.0)

    saturation = torch.exp(uniform("saturation", 0.6 * strength))
    hue = uniform("hue", math.radians(30 * strength))
    saturation = saturation * ~at_times("greyscale", 0.2 * strength)
    blur = torch.rand(count, generator=generator, device=device) * _BLUR * strength * at_times("blur", 0.5 * strength)
    quality = 100 - 70 * strength * torch.rand(count, generator=generator, device=device)
    quality = quality.round() * at_times("jpeg", 0.5 * strength)
    return Augmentation(
        affine,
        brightness,
        contrast,
        erase,
        torch.stack([saturation, hue], dim=1) if channels == 3 and not set(COLOUR_ONLY).isdisjoint(used) else None,
        blur if "blur" in used else None,
        quality if "jpeg" in used else None,
    )


def apply(images: Tensor, parameters: Augmentation, size: int | None = None) -> Tensor:
    """Augment ``images``, and resize them on the way.

    Enlarging is part of the one resampling of the geometry: the affine map is read out at the pixels of the larger
    image, which for the identity is exactly bilinear enlarging. Shrinking comes after it, antialiased; a sparser read
    of the affine map would alias.

    Args:
        images: (B, C, H, W) float32 in [0, 1].
        parameters: drawn for B images, on the same device.
        size: pixels a side of the images returned; None keeps H and W.

    Returns:
        (B, C, H, W) or (B, C, size, size) float32 in [0, 1], in the memory format of ``images``; erased rectangles
        hold the image's mean.
    """
    count, _, height, width = images.shape
    affine = parameters.affine
    if height != width:  # coordinates are shares of the sides, and a rotation is one of pixels
        affine = affine.clone()
        affine[:, 0, 1] *= height / width
        affine[:, 1, 0] *= width / height
    if size is not None and size >= height and size >= width:
        height = width = size
    images = torch.nn.functional.grid_sample(
        images, _grid(affine, height, width), padding_mode="border", align_corners=False
    )
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast, brightness = parameters.contrast.view(-1, 1, 1, 1), parameters.brightness.view(-1, 1, 1, 1)
    images.mul_(contrast).add_(mean * (1 - contrast) + brightness)
    images = _in_colour(images, parameters)
    left, top, right, bottom = parameters.erase.unsqueeze(-1).unbind(1)
    x, y = _centres(width, images.device), _centres(height, images.device)
    across = ((x > left) & (x < right)).float().view(count, 1, 1, width)
    down = ((y > top) & (y < bottom)).float().view(count, 1, height, 1)
    images.add_((mean - images).mul_(across).mul_(down)).clamp_(0, 1)
    return images if size is None else resize(images, size)


def _in_colour(images: Tensor, parameters: Augmentation) -> Tensor:
    """Do what is done to colours, sharpness and compression; ``images`` themselves where nothing is."""
    if parameters.colour is not None:
        matrix = colour_matrix(*parameters.colour.unbind(1))
        images = (matrix @ images.flatten(2)).view(images.shape)
    if parameters.blur is not None:
        images = blurred(images, parameters.blur * min(images.shape[-2:]), _BLUR * min(images.shape[-2:]))
    if parameters.jpeg is not None:
        images = compressed(images.clamp(0, 1), parameters.jpeg)
    return images


def _centres(count: int, device: torch.device) -> Tensor:
    """Return (count,) float32: where the centres of that many pixels lie in [0, 1]."""
    return (torch.arange(count, device=device) + 0.5) / count


def _grid(affine: Tensor, height: int, width: int) -> Tensor:
    """Return what ``affine_grid`` does (align_corners=False), without its matrix product, which is slow on a CPU.

    Args:
        affine: (B, 2, 3) float32.
        height, width: of the images to be made.

    Returns:
        (B, height, width, 2) float32, a view of planes of x and of y.
    """
    x, y = _centres(width, affine.device) * 2 - 1, _centres(height, affine.device) * 2 - 1
    across, down, moved = affine.unsqueeze(-1).unbind(2)  # (B, 2, 1) each
    return ((down * y + moved).unsqueeze(3) + (across * x).unsqueeze(2)).permute(0, 2, 3, 1)
