"""The head alone, trained on features that are computed once: transfer learning at the cost of a linear model.

Where every stage stays frozen and images come as they are, or in a fixed number of augmented views, the features below
the head are the same in each epoch.  They are computed in the precision of the run when an epoch first reads them, and
kept in memory; results are those of training on images, but for rounding.

The process keeps them for its next trial too, which in a search of heads starts from the same weights and the same
images and has nothing left to compute.  Nothing is kept on disk: trials follow each other in few processes, so a table
there would save the first pass of each, and would have to be found, bounded and deleted.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fer_tune.config import TrialConfig
from fer_tune.data.batching.batches import Batches, free_memory
from fer_tune.data.batching.feature_batches import FeatureBatches, FeatureTable
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.models import HeadAlone, head_alone, stages
from fer_tune.training.assembly import Assembly, freeze_to
from fer_tune.training.evaluation import evaluation_batch
from fer_tune.training.memory.leftover import default_bound
from fer_tune.training.steps.precision import autocast, judging_dtype

_TRIED = 8  # images that a cut is tried on: enough for the statistics of a batch to show
_SHARE = 4  # of the memory there is, one part in so many may hold features, as it may hold the images themselves

_kept: dict[Hashable, FeatureTable] = {}
"""What the last trial of this process that could use it has computed."""


@dataclass(frozen=True)
class Source:
    """What a run trains, and what on: a network and images, or its head and features.

    Attributes:
        model: what a step moves: images or features (B, ...) -> logits (B, classes).
        training, validation: what it reads.
        told: which of the two in words, with the reason; empty where that goes without saying.
        head: the network in two halves, where it is its head and features.
        views: of each training image that there are features of.
        lasting: whether a trial with the same network and other settings finds the features that this one computes.
    """

    model: nn.Module
    training: Batches | FeatureBatches
    validation: Batches | FeatureBatches
    told: str = ""
    head: HeadAlone | None = None
    views: int = 1
    lasting: bool = False

    def within(self, copy: nn.Module) -> nn.Module:
        """Return the part of the whole network, or of a copy of it such as its average, that ``model`` is."""
        return copy if self.head is None else self.head.within(copy)


def source_of(
    config: TrialConfig,
    built: Assembly,
    card: DatasetCard,
    dtype: torch.dtype | None,
    device: torch.device,
    world: int = 1,
    parts: int = 1,
) -> Source:
    """Return what a run trains, and what on.

    Where that is the head on features, the model of ``built`` is frozen and left in evaluation mode.

    Args:
        config: of the run.
        built: from it.
        card: of the data.
        dtype: of the training steps, for autocast.
        device: of the model.
        world: ranks that share a batch.
        parts: that a batch is split into for want of memory; images are computed in as many times smaller batches.
    """
    told = _reason_against(config, built.model, world)
    if told is None:
        found = _on_features(config, built, card, dtype, device, parts)
        if isinstance(found, Source):
            return found
        told = f"features computed in each epoch: {found}"
    forget()
    return Source(built.model, built.training, built.validation, told)


def forget() -> None:
    """Keep no features for the next trial of this process."""
    _kept.clear()


def _reason_against(config: TrialConfig, model: nn.Module, world: int) -> str | None:
    """Return why features change from epoch to epoch; empty where that goes without saying, None where they do not."""
    if not config.freeze_depth or config.freeze_depth < len(stages(model)):
        return ""
    asked = [name for name in ("unfreeze_epoch", "mixup", "cutmix") if getattr(config, name)]
    if config.augmentation > 0 and config.augmented_views is None:
        asked.append("augmentation without augmented_views")
    if world > 1:
        asked.append(f"{world} workers")
    return f"features computed in each epoch: {', '.join(asked)}" if asked else None


def _on_features(
    config: TrialConfig, built: Assembly, card: DatasetCard, dtype: torch.dtype | None, device: torch.device, parts: int
) -> Source | str:
    """Return head and features, or why it cannot be."""
    frozen = freeze_to(built.model, config.freeze_depth)
    images = _some(built.training)
    head = head_alone(built.model, frozen, images, config.drop_rate, lambda: autocast(dtype, device))
    if isinstance(head, str):
        return head

    def compute(kind: torch.dtype | None, given: Tensor) -> Tensor:
        with autocast(kind, device):
            return head.features(given)

    drawn = (config.augmentation, config.transforms, config.seed) if config.augmentation > 0 else ()
    views = config.augmented_views if drawn and config.augmented_views else 1
    judged = judging_dtype(config.precision, device)
    one, one_judged = compute(dtype, images)[:1], compute(judged, images)[:1]
    rows, rows_judged = views * len(built.training), len(built.validation)
    needed, most = rows * one.nbytes + rows_judged * one_judged.nbytes, _most(device)
    if needed > most:
        return f"they would take {needed / 2**20:,.0f} MiB, and may take {most / 2**20:,.0f}"
    size = evaluation_batch(config, device, parts)
    same = (card.content_hash, config.backbone, _digest(built.model, head.top), config.image_size, str(device), size)
    key, key_judged = (*same, "train", dtype, views, drawn), (*same, "val", judged)
    for other in _kept.keys() - {key, key_judged}:
        del _kept[other]  # before room is made for the new ones
    table, table_judged = _table(key, one, rows), _table(key_judged, one_judged, rows_judged)
    return Source(
        head.top,
        FeatureBatches(
            built.training, functools.partial(compute, dtype), table, size, config.augmentation, config.seed
        ),
        FeatureBatches(built.validation, functools.partial(compute, judged), table_judged, size),
        f"features computed once{f' for each of {views} views' if views > 1 else ''}, {needed / 2**20:,.0f} MiB",
        head,
        views,
        lasting=not drawn,
    )


def _some(batches: Batches) -> Tensor:
    """Return a few images of the split, as they are."""
    coming = batches.in_order(_TRIED)
    return batches.made(next(iter(coming))).images


def _table(key: Hashable, one: Tensor, rows: int) -> FeatureTable:
    if key not in _kept:
        _kept[key] = FeatureTable(one.new_empty(rows, *one.shape[1:]))
    return _kept[key]


def _most(device: torch.device) -> float:
    """Return the bytes that features may take."""
    if device.type == "cuda":
        return free_memory(device) / _SHARE
    return default_bound(torch.get_num_threads()) * 2**20  # such a share of what falls to a trial with so many cores


def _digest(model: nn.Module, top: nn.Module) -> str:
    """Return what stands for the weights below the head."""
    own = {tensor.data_ptr() for tensor in (*top.parameters(), *top.buffers())}
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in own:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
