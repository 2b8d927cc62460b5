"""Stages of a backbone, and what a freeze depth means.

A stage is one of the backbone's own coarse parameter groups (timm's group matcher), in order from the input: for
a ResNet the stem and its four layers.  The last group holds the classifier and is never a stage that can be
frozen.  ``freeze_depth: f`` freezes the first ``f`` stages: 0 trains everything, :func:`stage_count` trains the
head alone (transfer learning).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from timm.models import group_parameters
from torch import nn

from fer_tune.errors import UserError
from fer_tune.models.factory import create_model


@dataclass(frozen=True)
class Stage:
    """One stage: the first module in it gives its name."""

    name: str
    parameters: tuple[str, ...]  # names, as in `named_parameters`
    count: int  # numbers in them


def stages(model: nn.Module) -> list[Stage]:
    """Return the stages of ``model`` in order from the input, without the head's."""
    groups: dict[int, list[str]] = group_parameters(model, model.group_matcher(coarse=True))  # type: ignore[operator]
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    head = _head_parameters(model)
    found = []
    for key in sorted(groups):
        names = tuple(name for name in groups[key] if name in sizes and name not in head)
        if names and key != max(groups):
            found.append(Stage(_stage_name(names), names, sum(sizes[name] for name in names)))
    return found


@functools.cache
def backbone_stages(backbone: str) -> tuple[Stage, ...]:
    """Return the stages of a backbone by name, without keeping weights in memory."""
    with torch.device("meta"):
        return tuple(stages(create_model(backbone, num_classes=7, in_chans=3)))


def stage_count(backbone: str) -> int:
    """Return the largest freeze depth of a backbone: at that depth the head alone is trained."""
    return len(backbone_stages(backbone))


def freeze(model: nn.Module, depth: int) -> list[nn.Module]:
    """Freeze the first ``depth`` stages of ``model``: no gradient, and fixed batch-norm statistics.

    Returns:
        The normalisation modules that must stay in evaluation mode; call ``.eval()`` on them after every
        ``model.train()``.

    Raises:
        UserError: ``depth`` is beyond the number of stages.
    """
    found = stages(model)
    if depth > len(found):
        raise UserError(f"freeze_depth: {depth} is beyond this backbone's {len(found)} stages; 0 to {len(found)} work")
    frozen = {name for stage in found[:depth] for name in stage.parameters}
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    norms = []
    for prefix, module in model.named_modules():
        own = [name for name, _ in module.named_parameters(prefix, recurse=False)]
        if own and all(name in frozen for name in own) and any(True for _ in module.buffers(recurse=False)):
            norms.append(module)
    return norms


def _head_parameters(model: nn.Module) -> set[str]:
    classifier = model.get_classifier()  # type: ignore[operator]
    own = {id(parameter) for parameter in classifier.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in own}


def _stage_name(names: tuple[str, ...]) -> str:
    """Return the longest dotted prefix that all parameters share, else the first one's first part."""
    parts = [name.split(".")[:-1] for name in names]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared) or names[0].split(".")[0]
