"""Evaluation: metrics of a model on a split, and its predictions image by image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fer_tune.config import TrialConfig
from fer_tune.data.batching.batches import Batches
from fer_tune.data.batching.views import Kind
from fer_tune.data.batching.views import views as make_views
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import Split
from fer_tune.models import check_square, create_model
from fer_tune.training.metrics import Meter
from fer_tune.training.starting_weights import on_this_machine
from fer_tune.training.steps.precision import set_up_gpu

EVALUATION_BATCH = 256  # on 2 cores larger batches were no faster


def build_model(config: TrialConfig, card: DatasetCard) -> nn.Module:
    """Build the network of ``config`` for the images and classes of ``card``, channels last in memory.

    Raises:
        UserError: see :func:`fer_tune.models.create_model`; or weights behind a URI cannot be had; or the images are
            not square, and the network takes no others.
    """
    if config.image_size is None:
        check_square(config.backbone, card.height, card.width)
    model = create_model(
        config.backbone,
        num_classes=len(card.classes),
        in_chans=card.channels,
        image_size=config.image_size or card.height,
        pretrained=config.pretrained,
        weights=None if config.weights is None else on_this_machine(config.weights, config.backbone),
        drop_rate=config.drop_rate,
        drop_path_rate=config.drop_path_rate,
        head=config.head,
        classes=card.classes,
    )
    return model.to(memory_format=torch.channels_last)


def load_model(config: TrialConfig, card: DatasetCard, checkpoint: Path, device: torch.device | str) -> nn.Module:
    """Build the network of ``config`` and load trained weights into it, ready to evaluate."""
    set_up_gpu(device)
    fresh = config.model_copy(update={"pretrained": False, "weights": None})  # all weights come from the checkpoint
    model = build_model(fresh, card)
    model.load_state_dict(load_file(checkpoint))
    return model.to(device).eval()


def evaluate(
    model: nn.Module, batches: Batches, classes: int, device: torch.device, rank: int = 0, world: int = 1
) -> dict[str, Any]:
    """Return the metrics of `Meter.result` with the prefix ``val``; the loss is without smoothing or class weights.

    With several ranks each sees its share of the images once, and all get the metrics of the whole split.
    """
    meter = Meter(classes, device, len(batches))
    model.eval()
    with torch.inference_mode():
        for images, labels in batches.evaluation(EVALUATION_BATCH, rank, world):
            logits = model(images)
            meter.update(logits, labels, nn.functional.cross_entropy(logits, labels))
    return meter.result("val")


def predict(
    model: nn.Module,
    split: Split,
    card: DatasetCard,
    device: torch.device | str,
    batch_size: int = EVALUATION_BATCH,
    *,
    views: Kind = "none",
    image_size: int | None = None,
) -> npt.NDArray[np.float32]:
    """Return class probabilities, (N, classes) float32, in the order of the split.

    Args:
        views: test-time augmentation, see :func:`fer_tune.data.batching.views.views`; the probabilities of an image's
            views are averaged.
        image_size: what the model was trained with.
    """
    model.eval()
    fixed = getattr(model, "pretrained_cfg", {}).get("fixed_input_size")  # such a network takes no smaller crop
    side = (image_size or card.height) if fixed else None
    found: list[Tensor] = []
    with torch.inference_mode():
        for images, _ in Batches(split, card, torch.device(device), image_size).evaluation(batch_size):
            seen = make_views(images, views, side)  # (B, V, C, H, W)
            logits = model(seen.flatten(0, 1).contiguous(memory_format=torch.channels_last))
            found.append(logits.float().softmax(1).unflatten(0, seen.shape[:2]).mean(1).cpu())
    probabilities: npt.NDArray[np.float32] = torch.cat(found).numpy()
    return probabilities
