"""What a run trains with, put together as one: for the loop, and for who asks beforehand what it will cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from fer_tune.config import TrialConfig
from fer_tune.data.batching.batches import Batches
from fer_tune.data.batching.suiting import check_suits
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.models import freeze
from fer_tune.training.evaluation import build_model
from fer_tune.training.learning.objective import Objective, sampling_weights
from fer_tune.training.learning.optimisers import build_optimizer
from fer_tune.training.steps.precision import set_up_gpu


@dataclass(frozen=True)
class Assembly:
    """The network on its device, its optimiser and loss, and the batches of both splits."""

    model: nn.Module
    optimizer: Optimizer
    objective: Objective
    training: Batches
    validation: Batches


def assemble(config: TrialConfig, data: PreparedDataset, device: torch.device) -> Assembly:
    """Build what ``config`` says; its ``seed`` gives the initial weights.

    Raises:
        UserError: see :func:`fer_tune.training.evaluation.build_model`; or the dataset lacks what is
            asked of it.
    """
    set_up_gpu(device)
    check_suits(config.model_dump(), data.card)
    split = data.train()
    labels = split.labels
    voted = split.votes if config.votes != "majority" else None
    counts = np.bincount(labels, minlength=len(data.card.classes))
    torch.manual_seed(config.seed)  # initial weights
    model = build_model(config, data.card).to(device)
    training = Batches(
        split,
        data.card,
        device,
        config.image_size,
        sampling=sampling_weights(config.class_weighting, labels, counts),
        transforms=config.transforms,
        votes=None if voted is None else torch.from_numpy(voted.astype(np.int64)),
        draws=config.votes == "draw",
        views=config.augmented_views,
    )
    validation = Batches(data.val(), data.card, device, config.image_size)
    return Assembly(model, build_optimizer(model, config), Objective(config, counts).to(device), training, validation)


def freeze_to(model: nn.Module, depth: int) -> list[nn.Module]:
    """Train all of ``model`` but its first ``depth`` stages, and return what stays in evaluation mode meanwhile."""
    return freeze(model, depth)
