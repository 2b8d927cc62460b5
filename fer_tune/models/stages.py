"""Stages of a backbone: what a freeze depth counts.

A stage is one of the backbone's own coarse parameter groups (timm's group matcher), in order from the input: for
a ResNet the stem and its four layers.  ``freeze_depth: f`` freezes the first ``f`` stages: 0 trains everything,
:func:`stage_count` trains the head alone (transfer learning).  What freezing means is said in
:mod:`fer_tune.models.freezing`.

Where timm's groups do not serve, they are put right here:

- A group of nothing but norms and biases (the batch norms of VGG, the norm below a classifier) goes with the one below
  it: a layer without its norm is no stage.
- What timm leaves to the head although it is no part of the classifier (``conv_head`` of MobileNetV3, the upper half of
  HRNet) is the last stage.  The hidden layers of this project's own networks are new, as the classifier is: no stage.
- CaiT's two blocks of class attention come after its other blocks, not beside the last two of them.
- A network that timm does not divide (PoolFormer, PiT) is divided into its children, and each list of blocks among them
  into its entries.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from timm.models import group_parameters
from torch import nn

from fer_tune.models.factory import create_model
from fer_tune.models.heads import head_parameters
from fer_tune.models.networks.cnns import Classifier

_CAIT = {
    "stem": r"^cls_token|pos_embed|patch_embed",
    "blocks": r"^blocks\.(\d+)",
    "class_attention": r"^blocks_token_only\.(\d+)",
}


@dataclass(frozen=True)
class Stage:
    """One stage: the modules in it give its name."""

    name: str
    parameters: tuple[str, ...]  # names, as in `named_parameters`
    count: int  # numbers in them


def stages(model: nn.Module) -> list[Stage]:
    """Return the stages of ``model`` in order from the input, without the head's."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    members = _joined(_groups(model), {name for name, parameter in model.named_parameters() if parameter.ndim <= 1})
    return [Stage(_stage_name(names, members), names, sum(sizes[name] for name in names)) for names in members]


def _groups(model: nn.Module) -> list[tuple[str, ...]]:
    """Return the names of the parameters of each group, without the classifier's."""
    head = head_parameters(model)
    matcher = _matcher(model)
    groups = _by_children(model) if matcher is None else group_parameters(model, matcher)
    if isinstance(model, Classifier):
        groups.pop(max(groups))  # its hidden layers and its classifier, which are all new
    left = (tuple(name for name in groups[key] if name not in head) for key in sorted(groups))
    return [names for names in left if names]


def _matcher(model: nn.Module) -> Any:
    if type(model).__name__ == "Cait":
        return _CAIT
    matcher = getattr(model, "group_matcher", None)
    try:
        return None if matcher is None else matcher(coarse=True)
    except AssertionError:  # RDNet has fine groups alone
        return None


def _by_children(model: nn.Module) -> dict[int, list[str]]:
    """Return the parameters of each child of the network, and of each entry where the child is a list of modules."""
    lists = {name for name, child in model.named_children() if isinstance(child, nn.Sequential | nn.ModuleList)}
    groups: dict[str, list[str]] = {"": []}  # position embeddings and class tokens, which belong to no child
    for name, _ in model.named_parameters():
        parts = name.split(".")
        place = "" if len(parts) == 1 else ".".join(parts[: 2 if parts[0] in lists else 1])
        groups.setdefault(place, []).append(name)
    bare, *others = groups.values()
    others[:1] = [bare + others[0]]  # they are added to what the first child makes of the image
    return dict(enumerate(others))


def _joined(groups: list[tuple[str, ...]], flat: set[str]) -> list[tuple[str, ...]]:
    """Return the groups, of which those with parameters in ``flat`` alone have gone to the one below."""
    joined: list[tuple[str, ...]] = []
    for names in groups:
        if joined and flat.issuperset(names):
            joined[-1] += names
        else:
            joined.append(names)
    return joined


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
