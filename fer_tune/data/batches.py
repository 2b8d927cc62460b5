"""Batches: gathered as uint8 from the mapped array, then made float, augmented and normalised on the device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from fer_tune.data import augmentation
from fer_tune.data.store import DatasetCard, Split


class Batches:
    """One split on one device.

    On a CPU the images stay in the memory map, shared by every process of the machine; on an accelerator they are
    copied there once, as uint8.  What is drawn depends on ``(seed, epoch)`` alone and is drawn for the whole batch
    before a rank takes its part, so the images are the same for any number of workers and after a resume.
    """

    def __init__(self, split: Split, card: DatasetCard, device: torch.device) -> None:
        with warnings.catch_warnings():  # the map is only ever gathered from
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            images = torch.from_numpy(split.images)
        self._images = images.to(device)  # (N, H, W, C) uint8
        self._labels = torch.from_numpy(split.labels).to(device)  # (N,) int64
        self._device = device
        self._mean = torch.tensor(card.pixel_mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(card.pixel_std, device=device).view(1, -1, 1, 1)

    def __len__(self) -> int:
        return len(self._labels)

    def steps(self, batch_size: int) -> int:
        """Training batches in an epoch: a last one of under half the size is left out, it would be mostly noise."""
        return max(1, (len(self) + batch_size // 2) // batch_size)

    def train(
        self, batch_size: int, strength: float, seed: int, epoch: int, rank: int = 0, world: int = 1
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield shuffled, augmented training batches of one epoch.

        Args:
            batch_size: images per batch over all ranks.
            strength: augmentation strength in [0, 1].
            seed, epoch: what the order and the augmentation are drawn from.
            rank, world: this worker takes every ``world``-th image of each batch, from ``rank`` on.

        Yields:
            images (B, C, H, W) float32, channels last and normalised; labels (B,) int64.
        """
        host = torch.Generator().manual_seed(_mix(seed, epoch, 0))
        drawn = torch.Generator(self._device).manual_seed(_mix(seed, epoch, 1))
        order = torch.randperm(len(self), generator=host).to(self._device)
        for chosen in order.split(batch_size)[: self.steps(batch_size)]:
            part = slice(rank, None, world)
            parameters = augmentation.draw(len(chosen), strength, drawn) if strength > 0 else None
            images, labels = self._gather(chosen[part])
            if parameters is not None:
                images = augmentation.apply(images, parameters[part])
            yield self._normalised(images), labels

    def evaluation(self, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image of this rank once, in order, without augmentation; shapes as for training."""
        for chosen in torch.arange(rank, len(self), world, device=self._device).split(batch_size):
            images, labels = self._gather(chosen)
            yield self._normalised(images), labels

    def _gather(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        images = self._images.index_select(0, chosen).permute(0, 3, 1, 2)  # NHWC in memory: channels last as it is
        return images.float().div_(255), self._labels.index_select(0, chosen)

    def _normalised(self, images: Tensor) -> Tensor:
        return ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)


def _mix(seed: int, epoch: int, stream: int) -> int:
    return (seed * 1_000_003 + epoch * 7_919 + stream * 104_729) % (2**63)
