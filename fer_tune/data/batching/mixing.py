"""Mixup and CutMix: each image of a batch takes a share of another one, and of its label.

Mixup (Zhang et al. 2018, arXiv 1710.09412) adds the two images, weighted; CutMix (Yun et al. 2019, arXiv 1905.04899)
pastes a rectangle of the other one. As in the authors' code, a batch draws one share from Beta(alpha, alpha) and one
rectangle, and each image a partner within the batch. The loss of an image is then
``share * loss(label) + (1 - share) * loss(partner_label)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixing:
    """What is drawn for a batch of B images."""

    partner: Tensor  # (B,) int64, a permutation of the batch: whose image and label is mixed in
    share: float  # of the image's own label; with CutMix exactly its share of the pixels
    box: tuple[int, int, int, int] | None  # CutMix: left, top, right, bottom in pixels; None is Mixup


def draw(count: int, height: int, width: int, mixup: float, cutmix: float, generator: torch.Generator) -> Mixing:
    """Draw for a batch of ``count`` images of ``height`` x ``width`` pixels.

    Args:
        mixup: alpha of Mixup, 0 is off.
        cutmix: alpha of CutMix, 0 is off; where both are on, one of them is chosen at even odds.
        generator: best on the CPU, since a few single numbers are read from it.
    """
    if mixup <= 0 and cutmix <= 0:
        return Mixing(torch.arange(count), 1.0, None)
    partner = torch.randperm(count, generator=generator, device=generator.device)
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    rng = np.random.default_rng(int(seed))  # torch draws no beta from a generator
    cuts = rng.random() < (0.5 if mixup > 0 else 1.0) and cutmix > 0
    alpha = cutmix if cuts else mixup
    share = float(rng.beta(alpha, alpha))
    if not cuts:
        return Mixing(partner, share, None)
    half_x, half_y = int(width * math.sqrt(1 - share)) // 2, int(height * math.sqrt(1 - share)) // 2
    x, y = int(rng.integers(width)), int(rng.integers(height))
    left, right = max(0, x - half_x), min(width, x + half_x)
    top, bottom = max(0, y - half_y), min(height, y + half_y)
    return Mixing(partner, 1 - (right - left) * (bottom - top) / (width * height), (left, top, right, bottom))


@dataclass(frozen=True)
class MixingOnDevice:
    """The same as tensors, of S batches or of one (then without the first dimension); indexing takes those of one.

    A step that is captured once and replayed may not depend on numbers of the host, so both kinds are one formula: the
    image's own share of a pixel is ``outside``, and none inside the box.
    """

    share: Tensor  # (S,) float32: of the image's own label
    outside: Tensor  # (S,) float32: Mixup's share; 1 for CutMix
    box: Tensor  # (S, 4) int64: left, top, right, bottom in pixels; empty for Mixup

    def __getitem__(self, batch: int) -> MixingOnDevice:
        return MixingOnDevice(self.share[batch], self.outside[batch], self.box[batch])


def on_device(drawn: Sequence[Mixing], device: torch.device) -> MixingOnDevice:
    """Return what is drawn for S batches, without the partners, as tensors on ``device``."""
    share = torch.tensor([mixing.share for mixing in drawn])
    outside = torch.tensor([1.0 if mixing.box else mixing.share for mixing in drawn])
    box = torch.tensor([mixing.box or (0, 0, 0, 0) for mixing in drawn])
    return MixingOnDevice(share.to(device), outside.to(device), box.to(device))


def blend(images: Tensor, partners: Tensor, mixing: MixingOnDevice) -> Tensor:
    """Return ``images`` mixed with ``partners``; both (B, C, H, W) float32, of the same place in the batch.

    The shares 0 and 1 give the pixel of the one or the other exactly.
    """
    left, top, right, bottom = mixing.box.unbind()
    y, x = (torch.arange(side, device=images.device) for side in images.shape[-2:])
    across, down = (x >= left) & (x < right), (y >= top) & (y < bottom)
    own = mixing.outside * ~(down[:, None] & across)  # (H, W)
    return torch.lerp(partners, images, own)
