"""Stages of a backbone, and what a freeze depth means.

A stage is one of the backbone's own coarse parameter groups (timm's group matcher), in order from the input: for
a ResNet the stem and its four layers.  The last group holds the classifier and is never a stage that can be
frozen.  ``freeze_depth: f`` freezes the first ``f`` stages: 0 trains everything, :func:`stage_count` trains the
head alone (transfer learning).

Frozen means: no gradient, so no weight decay and no optimiser state, and batch-norm statistics that stay.  Since
every frozen stage lies below every trained one, autograd records nothing below the lowest trained stage: neither its
activations are kept nor does the backward pass reach it (`tests/benchmarks/freeze.py` measures what that saves).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import takewhile
from weakref import WeakKeyDictionary

import torch
from timm.models import group_parameters
from torch import nn

from fer_tune.errors import UserError
from fer_tune.models.factory import create_model
from fer_tune.models.heads import head_parameters

_frozen_by_us: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Stage:
    """One stage: the modules in it give its name."""

    name: str
    parameters: tuple[str, ...]  # names, as in `named_parameters`
    count: int  # numbers in them


def stages(model: nn.Module) -> list[Stage]:
    """Return the stages of ``model`` in order from the input, without the head's."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    head = head_parameters(model)
    matcher = getattr(model, "group_matcher", None)
    if matcher is None:  # a network that timm does not divide: one stage
        groups: dict[int, list[str]] = {0: list(sizes), 1: []}
    else:
        groups = group_parameters(model, matcher(coarse=True))
    members = [
        tuple(name for name in groups[key] if name in sizes and name not in head)
        for key in sorted(groups)
        if key != max(groups)
    ]
    members = [names for names in members if names]
    return [Stage(_stage_name(names, members), names, sum(sizes[name] for name in names)) for names in members]


def backbone_stages(backbone: str | nn.Module) -> tuple[Stage, ...]:
    """Return the stages of a backbone, by name (without keeping weights in memory) or of a model."""
    return _stages_by_name(backbone) if isinstance(backbone, str) else tuple(stages(backbone))


@functools.cache
def _stages_by_name(backbone: str) -> tuple[Stage, ...]:
    with torch.device("meta"):
        return tuple(stages(create_model(backbone, num_classes=7, in_chans=3)))


def stage_count(backbone: str) -> int:
    """Return the largest freeze depth of a backbone: at that depth the head alone is trained."""
    return len(backbone_stages(backbone))


def stage_of(model: nn.Module) -> dict[str, int]:
    """Return parameter name -> index of its stage, from 0 at the input; the head's is the number of stages."""
    found = stages(model)
    index = {name: number for number, stage in enumerate(found) for name in stage.parameters}
    return {name: index.get(name, len(found)) for name, _ in model.named_parameters()}


def freeze(model: nn.Module, depth: int) -> list[nn.Module]:
    """Freeze the first ``depth`` stages of ``model``: no gradient, and fixed batch-norm statistics.

    A later call with another depth holds instead: with a lower one, stages that an earlier call froze are trained
    again (gradual unfreezing).  Parameters that the network itself keeps fixed stay fixed.

    Returns:
        The normalisation modules that must stay in evaluation mode; call ``.eval()`` on them after every
        ``model.train()``.

    Raises:
        UserError: ``depth`` is beyond the number of stages.
    """
    found = stages(model)
    if not 0 <= depth <= len(found):
        raise UserError(f"freeze_depth: {depth} is beyond this backbone's {len(found)} stages; 0 to {len(found)} work")
    frozen = {name for stage in found[:depth] for name in stage.parameters}
    ours = _frozen_by_us.setdefault(model, set())
    for name, parameter in model.named_parameters():
        if name in frozen and parameter.requires_grad:
            parameter.requires_grad_(False)
            ours.add(name)
        elif name not in frozen and name in ours:
            parameter.requires_grad_(True)
            ours.discard(name)
    return [
        module
        for prefix, module in model.named_modules()
        if any(name.startswith("running_") for name in module._buffers) and _within(prefix, module, frozen, found)
    ]


def _within(prefix: str, module: nn.Module, frozen: set[str], found: list[Stage]) -> bool:
    """Return whether a normalisation module lies in a frozen stage; one without parameters is where its parent is."""
    own = [name for name, _ in module.named_parameters(prefix)]
    if own:
        return frozen.issuperset(own)
    parts = prefix.split(".")
    while parts:
        parts.pop()
        start = ".".join([*parts, ""])
        near = [name for stage in found for name in stage.parameters if name.startswith(start)]
        if near:
            return frozen.issuperset(near)
    return False


def _stage_name(names: tuple[str, ...], stages: list[tuple[str, ...]]) -> str:
    """Return the modules that make up a stage, such as ``conv1, bn1``, ``layer2`` or ``features.0 to features.2``."""
    children: dict[str, list[str]] = {}  # child of the network -> modules of it in this stage
    for name in names:
        module = name.rpartition(".")[0] or name  # a bare parameter, such as pos_embed, stands for itself
        children.setdefault(module.split(".")[0], []).append(module)
    told = []
    for child, modules in children.items():
        elsewhere = any(name.split(".")[0] == child for other in stages if other is not names for name in other)
        if not elsewhere:
            told.append(child)
            continue
        shared = ".".join(_shared(modules))
        told.append(shared if shared != child else f"{modules[0]} to {modules[-1]}")
    return ", ".join(told)


def _shared(modules: list[str]) -> list[str]:
    """Return the leading parts that all dotted names share."""
    levels = zip(*(module.split(".") for module in modules), strict=False)
    return [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
