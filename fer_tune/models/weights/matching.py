"""Which tensor of a weights file is which of a network: by name, under a prefix, or by order and shape.

Two implementations of one network name its layers differently (torchvision's ``features.1.0.block.0.0.weight`` is
timm's ``blocks.0.0.conv_dw.weight``), and mostly define them in the same order.  A match by order is accepted only
where nothing speaks against it: every tensor outside the classifier agrees with its counterpart in shape, but for axes
of length one, and in kind (weight, bias, running mean, running variance, other); the tensors of one layer belong to one
layer of the other; numbered layers come in ascending order; and names that say what a layer is for (query, key, value,
shortcut) do not contradict each other.  What a state dict does not hold (padding, the epsilon of a norm) is not
compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import Tensor

from fer_tune.amounts import amount

_KINDS = ("running_mean", "running_var", "num_batches_tracked", "weight", "bias")
_ROLES = {
    "query": {"q", "query", "q_proj", "to_q", "wq", "q_lin"},
    "key": {"k", "key", "k_proj", "to_k", "wk", "k_lin"},
    "value": {"v", "value", "v_proj", "to_v", "wv", "v_lin"},
    "shortcut": {"downsample", "shortcut", "skip", "residual", "identity"},
}
_REST = 8  # tensors that a classifier may have


def shared_prefix(names: Iterable[str], own: Iterable[str]) -> str:
    """Return the parts that all names of a file begin with and none of the network's does; mostly nothing.

    >>> shared_prefix(["encoder.stem.0.weight", "encoder.stem.1.bias"], ["conv_stem.weight"])
    'encoder.stem.'
    """
    split = [name.split(".") for name in names]
    starts = {name.split(".")[0] for name in own}
    prefix = ""
    while split and all(len(parts) > 1 and parts[0] == split[0][0] and parts[0] not in starts for parts in split):
        prefix += f"{split[0][0]}."
        split = [parts[1:] for parts in split]
    return prefix


def under_prefix(names: Iterable[str], own: Iterable[str]) -> str:
    """Return what stands before the names of a file where a network's would do, such as ``backbone.``; mostly nothing.

    It is the prefix of dotted parts without which the most names are those of the network; of two that serve alike
    (the two encoders of MoCo), the first.

    >>> under_prefix(["model.conv1.weight", "model.fc.weight"], ["conv1.weight", "fc.weight"])
    'model.'
    >>> under_prefix(["conv1.weight", "fc.weight"], ["conv1.weight", "fc.weight"])
    ''
    """
    names, own = list(names), set(own)
    counts = {"": sum(name in own for name in names)}
    for name in names:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            if ".".join(parts[depth:]) in own:
                prefix = ".".join(parts[:depth]) + "."
                counts[prefix] = counts.get(prefix, 0) + 1
    return max(counts, key=lambda prefix: counts[prefix])


def by_order(state: dict[str, Tensor], own: dict[str, Tensor], classifier: set[str], first: set[str]) -> dict[str, str]:
    """Return name in the network -> name in the file, by order and shape.

    Args:
        state: the file's tensors, in its order.
        own: the network's, in its order.
        classifier: names in ``own`` of the classifier's tensors; these may differ in shape, and are matched only where
            the file has as many left.
        first: names in ``own`` of the first convolutions, which may differ in their channels.

    Raises:
        ValueError: it could be wrong; says where.
    """
    theirs = [name for name in state if _counts(name, state[name])]
    body = [name for name in own if _counts(name, own[name]) and name not in classifier]
    if len(theirs) < len(body):
        raise ValueError(f"it has {amount(len(theirs), 'tensor')}, and the backbone {len(body)} without its classifier")
    pairs = dict(zip(body, theirs, strict=False))
    for ours, other in pairs.items():
        shape, given = _shape(own[ours]), _shape(state[other])
        if ours in first and own[ours].ndim == state[other].ndim:
            shape, given = (tuple(each.shape[:1] + each.shape[2:]) for each in (own[ours], state[other]))
        if _kind(ours) != _kind(other) or shape != given:
            told = f"{other} {list(state[other].shape)} would be {ours} {list(own[ours].shape)}"
            raise ValueError(f"order and shape do not match: {told}")
    rest = theirs[len(body) :]
    heads = [name for name in own if name in classifier]
    if len(rest) > _REST:
        raise ValueError(f"{amount(len(rest), 'tensor')} more than fit, from {rest[0]} on: too many for a classifier")
    if [_kind(name) for name in rest] == [_kind(name) for name in heads]:
        pairs |= zip(heads, rest, strict=True)
    _check_layers(pairs)
    _check_roles(pairs)
    _check_numbers(theirs)
    layers = {_layer(ours): _layer(other) for ours, other in pairs.items()}
    for name in own:  # counters of batches go with their layer
        counter = f"{layers.get(_layer(name))}.num_batches_tracked"
        if _kind(name) == "num_batches_tracked" and counter in state:
            pairs[name] = counter
    return pairs


def _counts(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor takes part: counters of batches and tables of positions do not."""
    return tensor.is_floating_point() and _kind(name) != "num_batches_tracked"


def _kind(name: str) -> str:
    leaf = name.rpartition(".")[2]
    return next((kind for kind in _KINDS if leaf.endswith(kind)), "other")


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(length for length in tensor.shape if length != 1)


def _check_layers(pairs: dict[str, str]) -> None:
    """Refuse pairs that tear a layer of either side apart; parameters without a layer of their own are passed over."""
    there: dict[str, str] = {}
    back: dict[str, str] = {}
    for ours, other in pairs.items():
        if _kind(ours) == "other":  # a layer scale may stand in the block or in a layer of its own
            continue
        first, second = _layer(ours), _layer(other)
        if there.setdefault(first, second) != second or back.setdefault(second, first) != first:
            raise ValueError(f"{other} would be {ours}, which would tear a layer apart")


def _check_roles(pairs: dict[str, str]) -> None:
    for ours, other in pairs.items():
        mine, yours = _roles(ours), _roles(other)
        if mine and yours and mine != yours:
            raise ValueError(f"{other} would be {ours}, and their names say that they are not for the same")


def _roles(name: str) -> set[str]:
    parts = set(name.lower().split("."))
    return {role for role, words in _ROLES.items() if parts & words}


def _check_numbers(names: list[str]) -> None:
    """Refuse an order in which ``layer.10`` comes before ``layer.2``: it is of the alphabet, not of the network."""
    last: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        for depth, part in enumerate(parts):
            if numbered := re.fullmatch(r"(.*?)(\d+)", part):
                word = ".".join([*parts[:depth], numbered[1]])
                if int(numbered[2]) < last.get(word, 0):
                    raise ValueError(f"its tensors are not in the order of a network: {name} comes late")
                last[word] = int(numbered[2])


def reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor whose axes of length one are those of ``shape``, where the others are the same anyway."""
    return tensor.reshape(shape) if _shape(tensor) == tuple(length for length in shape if length != 1) else tensor
