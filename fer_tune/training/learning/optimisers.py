"""Optimisers, from the settings of a trial: which parameters are trained, and at what rate."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from fer_tune.config import TrialConfig
from fer_tune.models import head_parameters, stages
from fer_tune.training.learning.muon import Muon


def frozen_stages(config: TrialConfig, epoch: int) -> int:
    """Return how many stages are frozen in an epoch (1-based).

    ``freeze_depth``, and from ``unfreeze_epoch`` on one fewer each epoch: gradual unfreezing (Howard and Ruder 2018,
    "Universal Language Model Fine-tuning").
    """
    thawed = 0 if config.unfreeze_epoch is None else max(0, epoch - config.unfreeze_epoch + 1)
    return max(0, config.freeze_depth - thawed)


def build_optimizer(model: nn.Module, config: TrialConfig) -> Optimizer:
    """Build the optimiser over every parameter that is ever trained.

    AdamW (Loshchilov and Hutter 2019), Adam (Kingma and Ba 2015), SGD with momentum, Nesterov's as Sutskever et al.
    (2013) have it, or Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"): the
    momentum of a matrix, or of a convolution as one, is made orthogonal before it is added.  Its steps are scaled to
    the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM training"), so one range of learning rates suits
    both; norms, biases, depthwise convolutions, the classifier and what is not decayed follow AdamW with Nesterov's
    momentum.

    Weight decay leaves out norms and biases, everything of one dimension (He et al. 2019, "Bag of Tricks"), and what
    the network itself names (position embeddings, class tokens, attention biases: its ``no_weight_decay``).  It is
    decoupled for AdamW and Muon, an L2 term for Adam and SGD.  With ``layer_decay`` d, the stage that lies k below the
    head learns at d**k times the head's rate (Clark et al. 2020, "ELECTRA").  The first group holds the head.  A
    stage that is still frozen has no gradient, so the optimiser passes it over.
    """
    never = frozen_stages(config, config.epochs)
    found = stages(model)
    frozen = {name for stage in found[:never] for name in stage.parameters}
    below_head = {name: len(found) - place for place, stage in enumerate(found) for name in stage.parameters}
    muon = config.optimizer == "muon"
    undecayed = _undecayed(model)
    no_matrix = head_parameters(model) | undecayed if muon else set()
    groups: dict[tuple[int, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if name not in frozen:
            below = 0 if config.layer_decay == 1 else below_head.get(name, 0)
            groups.setdefault((below, name in undecayed, name not in no_matrix), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {
            "params": groups[below, still, hidden],
            "lr": config.learning_rate * config.layer_decay**below,
            "weight_decay": 0.0 if still else config.weight_decay,
            **({"use_fallback": not hidden} if muon else {}),
        }
        for below, still, hidden in sorted(groups)
    ]
    if muon:
        # The momentum is its authors'.
        return Muon(settings, config.learning_rate, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw")
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        sgd = torch.optim.SGD(settings, config.learning_rate, config.momentum, nesterov=nesterov, fused=True)
        if config.momentum > 0:
            # A stage that is unfrozen later has its first step among later ones of the others, which fused SGD cannot
            # take. From a momentum of nought the first step is a step like any other, and comes to the same.
            for group in sgd.param_groups:
                for parameter in group["params"]:
                    sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    on_gpu = next(model.parameters()).is_cuda  # there a step may be captured, see `fer_tune.training.steps.captured`
    return kind(settings, config.learning_rate, fused=True, capturable=on_gpu)


def take_up(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Load the state of a run that was stopped, perhaps on another device: what is the device's own stays."""
    capturable = [group.get("capturable") for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, capturable, strict=True):
        if own is not None:
            group["capturable"] = own


def can_be_captured(optimizer: Optimizer) -> bool:
    """Whether a step of it reads nothing from the host that changes, so that it can be captured once and replayed.

    Muon's passes its rate as a number of the host.
    """
    return isinstance(optimizer, torch.optim.AdamW | torch.optim.Adam | torch.optim.SGD)


def _undecayed(model: nn.Module) -> set[str]:
    """Return the names of the parameters that weight decay leaves out."""
    named = getattr(model, "no_weight_decay", None)
    patterns = tuple(named()) if callable(named) else ()  # names; XCiT's have a star
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim <= 1 or any(fnmatchcase(name, pattern) for pattern in patterns)
    }
