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
================  ============================  ======================================

Strength 0 is exactly the identity.  Every image draws its own parameters.  The geometric transforms (the first five)
are one affine map, so pixels are resampled once.  The setting ``transforms`` leaves out those that it does not name;
the others draw what they would draw with all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fer_tune.config import TRANSFORMS
from fer_tune.data.batching.resizing import resize


@dataclass(frozen=True)
class Augmentation:
    """Parameters drawn for a batch of B images; indexing takes those of a part of the batch."""

    affine: Tensor  # (B, 2, 3) float32: output to input coordinates, both in [-1, 1], as affine_grid takes it
    brightness: Tensor  # (B,) float32, added; the full range is 1
    contrast: Tensor  # (B,) float32, factor around the image's mean
    erase: Tensor  # (B, 4) float32: left, top, right, bottom in [0, 1]; an empty rectangle erases nothing

    def __getitem__(self, part: slice | Tensor) -> Augmentation:
        return Augmentation(self.affine[part], self.brightness[part], self.contrast[part], self.erase[part])


def draw(count: int, strength: float, generator: torch.Generator, transforms: str = "all") -> Augmentation:
    """Draw the parameters for ``count`` images at ``strength`` in [0, 1], on the generator's device.

    Args:
        count: images.
        strength: see the table above.
        generator: what is drawn from; as much whichever transforms are used.
        transforms: ``all``, or names of `TRANSFORMS` with ``+`` between them.
    """
    device = generator.device
    used = TRANSFORMS if transforms == "all" else transforms.split("+")

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
    return Augmentation(affine, brightness, contrast, torch.cat([corner, corner + size], dim=1))


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
    if size is not None and size >= height and size >= width:
        height = width = size
    images = torch.nn.functional.grid_sample(
        images, _grid(parameters.affine, height, width), padding_mode="border", align_corners=False
    )
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast, brightness = parameters.contrast.view(-1, 1, 1, 1), parameters.brightness.view(-1, 1, 1, 1)
    images.mul_(contrast).add_(mean * (1 - contrast) + brightness)
    left, top, right, bottom = parameters.erase.unsqueeze(-1).unbind(1)
    x, y = _centres(width, images.device), _centres(height, images.device)
    across = ((x > left) & (x < right)).float().view(count, 1, 1, width)
    down = ((y > top) & (y < bottom)).float().view(count, 1, height, 1)
    images.add_((mean - images).mul_(across).mul_(down)).clamp_(0, 1)
    return images if size is None else resize(images, size)


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
