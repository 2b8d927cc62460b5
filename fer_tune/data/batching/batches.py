"""Batches: gathered as uint8 from the mapped array, then made float, augmented and normalised on the device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from fer_tune.data.batching import augmentation, mixing
from fer_tune.data.batching.augmentation import Augmentation
from fer_tune.data.batching.drawn import Drawn
from fer_tune.data.batching.feed import Feed
from fer_tune.data.batching.resizing import resize
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import Split


class Batch(NamedTuple):
    """A batch of B images on the device; the targets are of the kind that the loss takes.

    Where images are mixed it also has the targets of the partners, and the share of the own ones.
    """

    images: Tensor  # (B, C, H, W) float32, channels last and normalised
    labels: Tensor  # (B,) int64, what metrics are measured against
    targets: Tensor  # (B,) int64, the labels or drawn votes; or (B, classes) float32, distributions
    partners: Tensor | None = None  # as targets
    share: Tensor | None = None  # (B,) float32


_UNKNOWN_ROOM = 2 << 30  # bytes, on accelerators that do not tell how much is free


class Batches:
    """One split on one device.

    On a CPU the images stay in the memory map, shared by every process of the machine; on an accelerator they are
    copied there once, as uint8, or batch by batch, ahead of time, where they would take more than a quarter of its free
    memory (see `fer_tune.data.batching.feed`).

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
        votes: (N, classes), how many people saw which class in an image; None where the labels are the targets.
        draws: whether a target is a vote drawn each epoch anew, instead of the distribution of ``votes``.
        views: how each image is augmented is drawn so many times in all, and the epochs take these views in turn;
            None draws it anew each epoch.
    """

    def __init__(
        self,
        split: Split,
        card: DatasetCard,
        device: torch.device,
        image_size: int | None = None,
        sampling: Tensor | None = None,
        transforms: str = "all",
        votes: Tensor | None = None,
        draws: bool = False,
        views: int | None = None,
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
        self._transforms, self._channels, self._views = transforms, card.channels, views
        shares = None if votes is None else votes.float() / votes.sum(1, keepdim=True)
        self._odds = shares if draws else None  # on the host, where they are drawn from
        self._shares = None if shares is None or draws else shares.to(device)
        self._mean = torch.tensor(card.pixel_mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(card.pixel_std, device=device).view(1, -1, 1, 1)

    def __len__(self) -> int:
        return len(self._labels)

    def steps(self, batch_size: int) -> int:
        """Training batches in an epoch: a last one of under half the size is left out, it would be mostly noise."""
        return max(1, (len(self) + batch_size // 2) // batch_size)

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return self._device

    @property
    def resident(self) -> bool:
        """Whether the images are on the device; else each batch is sent there."""
        return self._images.device.type == self._device.type

    def drawn(
        self,
        batch_size: int,
        strength: float,
        seed: int,
        epoch: int,
        rank: int = 0,
        world: int = 1,
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> Iterator[Drawn]:
        """Yield what is drawn for each shuffled training batch of one epoch; :meth:`made` makes it.

        All of it is drawn and put on the device before the first is yielded, so that no step waits for the host.

        Args:
            batch_size: images per batch over all ranks.
            strength: augmentation strength in [0, 1].
            seed, epoch: what the order, the augmentation and the mixing are drawn from.
            rank, world: this worker takes every ``world``-th image of each batch, from ``rank`` on, and the partners
                of its images too, which may be other ranks' images.
            mixup, cutmix: alphas, 0 is off (see :func:`fer_tune.data.batching.mixing.draw`).
        """
        found = self._drawn(batch_size, strength, seed, epoch, rank, world, mixup, cutmix)
        yield from found if self.resident else Feed(self._images, self._device)(found)

    def _drawn(
        self,
        batch_size: int,
        strength: float,
        seed: int,
        epoch: int,
        rank: int,
        world: int,
        mixup: float,
        cutmix: float,
    ) -> Iterator[Drawn]:
        """Draw as :meth:`drawn`; places are where the images are."""
        place = self._images.device
        order, voted = self.order(batch_size, seed, epoch)
        order = order.to(place)
        parameters = self._augmentation(order, strength, seed, epoch)
        batches = [slice(begin, begin + batch_size) for begin in range(0, len(order), batch_size)]
        if not (mixup or cutmix):
            for batch in batches:
                part = slice(batch.start + rank, batch.stop, world)
                yield Drawn.of(
                    order[part], parameters and parameters[part], voted=None if voted is None else voted[part]
                )
            return
        host = torch.Generator().manual_seed(_mix(seed, epoch, 2))
        counts = [len(order[batch]) for batch in batches]
        mixed = [mixing.draw(count, *self._shape, mixup, cutmix, host) for count in counts]
        partners = torch.cat([one.partner for one in mixed]).to(place)
        blends = mixing.on_device(mixed, self._device)
        for number, batch in enumerate(batches):
            chosen, how, partner = order[batch], parameters and parameters[batch], partners[batch]
            seen = None if voted is None else voted[batch]
            if world > 1:
                own = torch.arange(rank, len(chosen), world, device=place)
                both = torch.cat([own, partner[own]])
                chosen, how, seen = chosen[both], how and how[both], None if seen is None else seen[both]
                partner = torch.arange(len(own), len(both), device=place)
            yield Drawn.of(chosen, how, partner, blends[number], seen)

    def order(self, batch_size: int, seed: int, epoch: int) -> tuple[Tensor, Tensor | None]:
        """Draw the order of an epoch.

        Returns:
            (n,) int64 on the host, places in the split, and (n,) int64 on the device, the vote drawn for each of them,
            or None where targets are not drawn.
        """
        host = torch.Generator().manual_seed(_mix(seed, epoch, 0))
        if self._sampling is None:
            order = torch.randperm(len(self), generator=host)
        else:
            order = torch.multinomial(self._sampling, len(self), replacement=True, generator=host)
        order = order[: self.steps(batch_size) * batch_size]
        return order, self._votes_drawn(order, _mix(seed, epoch, 3))

    def view(self, epoch: int) -> int:
        """Return which of the fixed views an epoch (1-based) takes; 0 where there are none."""
        return (epoch - 1) % self._views if self._views else 0

    def in_view(self, view: int, batch_size: int, strength: float, seed: int) -> Iterator[Drawn]:
        """Yield what :meth:`made` makes batches of, of every image once and in order, as a fixed view has them."""
        parameters = self._drawn_for(len(self), strength, seed, view + 1)
        return self._in_order(torch.arange(len(self)), batch_size, parameters)

    def targets(self, chosen: Tensor, voted: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the labels and the targets (see :class:`Batch`) of images at ``chosen``, (G,) int64 on the device."""
        labels = self._labels.index_select(0, chosen)
        if self._shares is not None:
            return labels, self._shares.index_select(0, chosen)
        return labels, labels if voted is None else voted

    def _augmentation(self, order: Tensor, strength: float, seed: int, epoch: int) -> Augmentation | None:
        """Return how each image of an epoch is augmented, on the device."""
        if self._views is None:
            return self._drawn_for(len(order), strength, seed, epoch)
        fixed = self._drawn_for(len(self), strength, seed, self.view(epoch) + 1)
        return fixed and fixed[order.to(self._device)]

    def _drawn_for(self, count: int, strength: float, seed: int, epoch: int) -> Augmentation | None:
        """Draw for all batches at once: it is some sixty small operations, of however many images."""
        if strength <= 0:
            return None
        drawn = torch.Generator(self._device).manual_seed(_mix(seed, epoch, 1))
        return augmentation.draw(count, strength, drawn, self._transforms, self._channels)

    def _votes_drawn(self, order: Tensor, seed: int) -> Tensor | None:
        """Draw a vote for each image of ``order``, (n,) int64 on the device; None where targets are not drawn."""
        if self._odds is None:
            return None
        host = torch.Generator().manual_seed(seed)
        return torch.multinomial(self._odds[order], 1, generator=host).squeeze(1).to(self._device)

    def made(self, drawn: Drawn) -> Batch:
        """Make a batch on the device; nothing is read back and nothing waits."""
        images = self._made(drawn)
        labels, targets = self.targets(drawn.chosen, drawn.voted)
        how, partner = drawn.mixing, drawn.partner
        if how is None or partner is None:
            return Batch(images, labels, targets)
        count = len(partner)
        images = mixing.blend(images[:count], images.index_select(0, partner), how)
        partners = targets.index_select(0, partner)
        return Batch(images, labels[:count], targets[:count], partners, how.share.expand(count))

    def train(
        self, batch_size: int, strength: float, seed: int, epoch: int, rank: int = 0, world: int = 1, **mix: float
    ) -> Iterator[Batch]:
        """Yield the batches of :meth:`drawn`, which has the arguments, as :meth:`made` makes them."""
        for drawn in self.drawn(batch_size, strength, seed, epoch, rank, world, **mix):
            yield self.made(drawn)

    def evaluation(self, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every image of this rank once, in order, without augmentation; shapes as for training."""
        for drawn in self.in_order(batch_size, rank, world):
            batch = self.made(drawn)
            yield batch.images, batch.labels

    def in_order(self, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[Drawn]:
        """Yield what :meth:`made` makes the batches of :meth:`evaluation` of."""
        return self._in_order(torch.arange(rank, len(self), world), batch_size, None)

    def _in_order(self, places: Tensor, batch_size: int, parameters: Augmentation | None) -> Iterator[Drawn]:
        """Yield the images at ``places``, augmented by what is drawn for each of these."""
        places = places.to(self._images.device)
        parts = (slice(begin, begin + batch_size) for begin in range(0, len(places), batch_size))
        found = (Drawn.of(places[part], parameters and parameters[part]) for part in parts)
        yield from found if self.resident else Feed(self._images, self._device)(found)

    def _made(self, drawn: Drawn) -> Tensor:
        """Gather the images, augment, resize and normalise them: (G, C, H, W) float32, channels last."""
        parameters, images = drawn.augmentation, drawn.pixels
        if images is None:
            images = self._images.index_select(0, drawn.chosen)
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
        return size <= free_memory(device) / 4
    return size <= _UNKNOWN_ROOM


def free_memory(device: torch.device) -> float:
    """Return the bytes of a CUDA GPU that nobody uses, and no more than the share of it that this process has."""
    free, total = torch.cuda.mem_get_info(device)
    return min(float(free), total * torch.cuda.get_per_process_memory_fraction(device))


def _mix(seed: int, epoch: int, stream: int) -> int:
    return (seed * 1_000_003 + epoch * 7_919 + stream * 104_729) % (2**63)
