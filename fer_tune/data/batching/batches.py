"""Batches: gathered as uint8 from the mapped array, then made float, augmented and normalised on the device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from fer_tune.data.batching import augmentation, mixing
from fer_tune.data.batching.augmentation import Augmentation
from fer_tune.data.batching.resizing import resize
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import Split

_UNKNOWN_ROOM = 2 << 30  # bytes, on accelerators that do not tell how much is free


class Batches:
    """One split on one device.

    On a CPU the images stay in the memory map, shared by every process of the machine; on an accelerator they are
    copied there once, as uint8, or batch by batch where they would take more than a quarter of its free memory.

    What is drawn depends on ``(seed, epoch)`` alone and is drawn for the whole batch before a rank takes its part, so
    the images are the same for any number of workers and after a resume.

    Args:
        split: where the images are.
        card: of the dataset; its mean and deviation normalise.
        device: where batches are made.
        image_size: pixels a side of the images yielded, bilinear and antialiased; None, or the size that they have,
            resamples nothing.  Where augmentation is drawn too, enlarging is one resampling with it and shrinking
            follows it (see :func:`fer_tune.data.batching.augmentation.apply`).
        sampling: (N,) float64, how likely each image is drawn for training, with replacement; None takes each image
            once an epoch.
        transforms: what augmentation does, see :func:`fer_tune.data.batching.augmentation.draw`.
    """

    def __init__(
        self,
        split: Split,
        card: DatasetCard,
        device: torch.device,
        image_size: int | None = None,
        sampling: Tensor | None = None,
        transforms: str = "all",
    ) -> None:
        with warnings.catch_warnings():  # the map is only ever gathered from
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            images = torch.from_numpy(split.images)
        self._images = images.to(device) if _has_room(device, images.nbytes) else images  # (N, H, W, C) uint8
        self._labels = torch.from_numpy(split.labels).to(device)  # (N,) int64
        self._device = device
        self._size = None if (image_size, image_size) == (card.height, card.width) else image_size
        self._shape = (image_size or card.height, image_size or card.width)
        self._sampling = sampling
        self._transforms = transforms
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
        part = slice(rank, None, world)
        for chosen, parameters in self._drawn(batch_size, strength, seed, epoch):
            yield self._made(chosen[part], parameters and parameters[part]), self._labels[chosen[part]]

    def mixed(
        self,
        batch_size: int,
        strength: float,
        seed: int,
        epoch: int,
        rank: int = 0,
        world: int = 1,
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield the batches of :meth:`train`, mixed after augmentation with Mixup or CutMix.

        A rank makes the partners of its images too, which may be other ranks' images.

        Args:
            batch_size, strength, seed, epoch, rank, world: as for :meth:`train`.
            mixup, cutmix: alphas, 0 is off (see :func:`fer_tune.data.batching.mixing.draw`).

        Yields:
            images (B, C, H, W) float32, channels last and normalised; labels and partner labels (B,) int64; the share
            of the first label (B,) float32.
        """
        host = torch.Generator().manual_seed(_mix(seed, epoch, 2))
        own = torch.arange(rank, batch_size, world, device=self._device)
        for chosen, parameters in self._drawn(batch_size, strength, seed, epoch):
            drawn = mixing.draw(len(chosen), *self._shape, mixup, cutmix, host)
            mine = own[: len(range(rank, len(chosen), world))]
            partner = drawn.partner.to(self._device)[mine]
            share = torch.full((len(mine),), drawn.share, device=self._device)
            if drawn.share == 1:
                images = self._made(chosen[mine], parameters and parameters[mine])
            elif world == 1:
                images = self._made(chosen, parameters)
                images = mixing.blend(images, images[partner], drawn)
            else:
                both = torch.cat([mine, partner])
                images = self._made(chosen[both], parameters and parameters[both])
                images = mixing.blend(images[: len(mine)], images[len(mine) :], drawn)
            yield images, self._labels[chosen[mine]], self._labels[chosen[partner]], share

    def evaluation(self, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image of this rank once, in order, without augmentation; shapes as for training."""
        for chosen in torch.arange(rank, len(self), world, device=self._device).split(batch_size):
            yield self._made(chosen, None), self._labels[chosen]

    def _drawn(
        self, batch_size: int, strength: float, seed: int, epoch: int
    ) -> Iterator[tuple[Tensor, Augmentation | None]]:
        """Yield the indices of each whole batch of an epoch, and its augmentation where there is any."""
        host = torch.Generator().manual_seed(_mix(seed, epoch, 0))
        drawn = torch.Generator(self._device).manual_seed(_mix(seed, epoch, 1))
        if self._sampling is None:
            order = torch.randperm(len(self), generator=host)
        else:
            order = torch.multinomial(self._sampling, len(self), replacement=True, generator=host)
        order = order[: self.steps(batch_size) * batch_size].to(self._device)
        # for all batches at once: it is some sixty small operations, of however many images
        parameters = augmentation.draw(len(order), strength, drawn, self._transforms) if strength > 0 else None
        for begin in range(0, len(order), batch_size):
            batch = slice(begin, begin + batch_size)
            yield order[batch], parameters and parameters[batch]

    def _made(self, chosen: Tensor, parameters: Augmentation | None) -> Tensor:
        """Gather the images ``chosen``, augment, resize and normalise them: (B, C, H, W) float32, channels last."""
        images = self._images.index_select(0, chosen.to(self._images.device)).to(self._device)
        images = images.permute(0, 3, 1, 2).float().div_(255)  # NHWC in memory: channels last as it is
        if parameters is not None:
            images = augmentation.apply(images, parameters, self._size)
        elif self._size is not None:
            images = resize(images, self._size)
        images = images.sub_(self._mean).div_(self._std)
        return images.contiguous(memory_format=torch.channels_last)


def _has_room(device: torch.device, size: int) -> bool:
    """Tell whether ``size`` bytes may stay on ``device``; a CPU reads the map where it is."""
    if device.type == "cuda":
        return size <= torch.cuda.mem_get_info(device)[0] / 4
    return size <= _UNKNOWN_ROOM


def _mix(seed: int, epoch: int, stream: int) -> int:
    return (seed * 1_000_003 + epoch * 7_919 + stream * 104_729) % (2**63)
