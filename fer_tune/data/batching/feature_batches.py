"""Batches of features instead of images, where what makes the features is fixed: each is computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fer_tune.data.batching.batches import Batch, Batches
from fer_tune.data.batching.drawn import Drawn

Compute = Callable[[Tensor], Tensor]
"""Images (B, C, H, W) -> features (B, ...)."""


@dataclass
class FeatureTable:
    """Features of a split, of one view after the other; the trials of a process may share one."""

    rows: Tensor  # (views * N, ...), on the device
    computed: set[int] = field(default_factory=set)  # views whose rows are there

    def stand_in(self, views: int) -> None:
        """Have numbers in all rows that no image gave, for who times what reads them."""
        self.rows.normal_()
        self.computed.update(range(views))


class FeatureBatches:
    """A split as `Batches` has it, with features in the place of images: the same order, labels and targets.

    A view is computed when an epoch first takes it, the whole split in order and in batches of one size: so it comes to
    the same bits after a resume, and a run that is stopped early has computed no more than it has read.

    Args:
        batches: of the images.
        compute: makes their features.
        table: holds them, or will.
        at_once: images that are computed at once.
        strength, seed: of the augmentation of the fixed views; with strength 0 there is one view, the images as they
            are.
    """

    def __init__(
        self,
        batches: Batches,
        compute: Compute,
        table: FeatureTable,
        at_once: int,
        strength: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.table, self.at_once = table, at_once
        self._batches, self._compute = batches, compute
        self._strength, self._seed = strength, seed

    def __len__(self) -> int:
        return len(self._batches)

    def steps(self, batch_size: int) -> int:
        """See `Batches.steps`."""
        return self._batches.steps(batch_size)

    def compute(self, view: int) -> Iterator[None]:
        """Compute the features of a view: a batch of images with each ``next``."""
        row = view * len(self)
        for drawn in self._batches.in_view(view, self.at_once, self._strength, self._seed):
            found = self._compute(self._batches.made(drawn).images)
            self.table.rows[row : row + len(found)] = found
            row += len(found)
            yield
        self.table.computed.add(view)

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
        """Yield as `Batches.drawn`, of one worker and without mixing; ``chosen`` are rows of the table."""
        assert world == 1
        assert mixup == cutmix == 0
        view = self._batches.view(epoch) if self._strength > 0 else 0
        self._have(view)
        order, voted = self._batches.order(batch_size, seed, epoch)
        rows = order.to(self.table.rows.device) + view * len(self)
        for begin in range(0, len(rows), batch_size):
            part = slice(begin, begin + batch_size)
            yield Drawn.of(rows[part], None, voted=None if voted is None else voted[part])

    def in_order(self, batch_size: int, rank: int = 0, world: int = 1) -> Iterator[Drawn]:
        """Yield as `Batches.in_order`, of one worker."""
        assert world == 1
        self._have(0)
        for rows in torch.arange(len(self), device=self.table.rows.device).split(batch_size):
            yield Drawn.of(rows, None)

    def made(self, drawn: Drawn) -> Batch:
        """Make a batch on the device, with features where `Batches.made` has images; nothing waits."""
        labels, targets = self._batches.targets(drawn.chosen % len(self), drawn.voted)
        return Batch(self.table.rows.index_select(0, drawn.chosen), labels, targets)

    def _have(self, view: int) -> None:
        if view not in self.table.computed:
            for _ in self.compute(view):
                pass
