"""Starting weights from a file: what fits is copied, what does not is reported."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from inspect import signature
from pathlib import Path

import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn

from fer_tune.errors import UserError
from fer_tune.models.heads import head_parameters
from fer_tune.models.weights.depth import other_depth
from fer_tune.models.weights.file import WeightsFile, read_weights
from fer_tune.models.weights.load_report import LoadReport
from fer_tune.models.weights.matching import by_order, reshaped, shared_prefix, under_prefix
from fer_tune.models.weights.of_runs import find_weights
from fer_tune.models.weights.words import some

_log = logging.getLogger(__name__)


def load_weights(
    model: nn.Module, source: str | Path, backbone: str | None = None, classes: Sequence[str] | None = None
) -> LoadReport:
    """Copy from ``source`` what fits ``model``, and log the report.

    Tensors are matched by name and shape: as the file has them, without what stands before all names or before those
    of the backbone, and as timm translates foreign names.  Where less than half of the backbone is found so, the file
    may be of another implementation: then by order and shape, if nothing speaks against it (see
    :mod:`fer_tune.models.weights.matching`).

    Args:
        model: the network; tensors that do not fit keep their values.
        source: a safetensors file, a state dict saved by torch (read with ``weights_only=True``), or a folder that
            a training run left (see :func:`~fer_tune.models.weights.of_runs.find_weights`).
        backbone: which backbone's trials to look at in the folder of a search over several.
        classes: what the model's outputs stand for.  Its classifier is copied only where the file says that it tells
            apart the same, in the same order.

    Raises:
        UserError: nothing there, unreadable, no weight in it fits, or those that fit are no numbers to start from.
    """
    file = find_weights(Path(source), backbone)
    read = read_weights(file)
    own = model.state_dict()
    head = _classifier(model, own)
    state, names, notes = _matched(file, read, own, head, model)
    state, adapted = _adapted(state, own, model)
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    why = _other_classes(read, classes)
    left = tuple(name for name in own if why and name in head and name in fitting)
    fitting = {name: value for name, value in fitting.items() if name not in left}
    missing = tuple(name for name in own if name not in state)
    unused = tuple(names.get(name, name) for name in state if name not in own)
    depth = other_depth(
        [each for each in own if each not in head], missing, [each for each in state if each not in own]
    )
    _check_numbers(file, fitting, own)
    model.load_state_dict(fitting, strict=False)
    report = LoadReport(
        file=file,
        copied=tuple(fitting),
        adapted=tuple(name for name in adapted if name in fitting),
        reshaped={
            name: (tuple(state[name].shape), tuple(own[name].shape))
            for name in own
            if name in state and name not in fitting and name not in left
        },
        left=left,
        why_left=why,
        missing=missing,
        unused=unused,
        notes=(*depth, *read.notes, *notes),
        names={name: names.get(name, name) for name in fitting},
        shapes={name: tuple(value.shape) for name, value in own.items()},
        numbers=sum(value.numel() for value in fitting.values()),
        of=sum(value.numel() for value in own.values()),
    )
    _log.info("%s", report)
    return report


def _check_numbers(file: Path, fitting: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """Refuse what would be copied without a word and make a network of nonsense.

    Raises:
        UserError: whole or complex numbers for weights, or values that are no numbers.
    """
    weights = {name: value for name, value in fitting.items() if own[name].is_floating_point()}
    if other := [name for name, value in weights.items() if not value.is_floating_point()]:
        kind = str(weights[other[0]].dtype).removeprefix("torch.")
        raise UserError(
            f"{file}: {len(other)} of its tensors hold {kind} numbers where the network has floating-point weights "
            f"({some(other)}), as in a quantised model; name the file from before that"
        )
    if broken := [name for name, value in weights.items() if not value.float().isfinite().all()]:
        raise UserError(
            f"{file}: {len(broken)} of its tensors hold values that are no numbers (nan or infinite): {some(broken)}; "
            "its training diverged, or it was saved in too few bits: name an earlier or another file"
        )


def _matched(
    file: Path, read: WeightsFile, own: dict[str, Tensor], head: set[str], model: nn.Module
) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """Return the file's tensors under the network's names, their names in the file, and what was done, in words."""
    state, names, notes = _without_prefix(read.state, own)
    body = [name for name in own if name not in head]
    converted, _ = _adapted(state, own, model)
    found = [name for name in body if name in converted and converted[name].shape == own[name].shape]
    if 2 * len(found) >= len(body):
        return state, names, notes
    try:
        if not read.ordered:
            raise ValueError("safetensors does not keep the order of a network, by which it could be matched")
        pairs = by_order(read.state, own, head, _first_layers(model))
    except ValueError as error:
        if any(own[name].ndim > 1 for name in found):  # a bias of seven numbers fits by chance
            return state, names, notes
        raise UserError(
            f"{file}: no weight in it fits this backbone in name and shape; is it of another backbone? It holds "
            f"{some(tuple(read.state))}; the backbone has {some(tuple(own))}. Nor by order and shape: {error}"
        ) from None
    used = set(pairs.values())
    state = {ours: reshaped(read.state[other], tuple(own[ours].shape)) for ours, other in pairs.items()}
    state |= {name: tensor for name, tensor in read.state.items() if name not in used and name not in own}
    return state, pairs, ["its names are another implementation's: matched by order and shape"]


def _without_prefix(
    state: dict[str, Tensor], own: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    prefix = under_prefix(state, own) or shared_prefix(state, own)
    if not prefix:
        return state, {}, []
    short = {name.removeprefix(prefix): name for name in state if name.startswith(prefix)}
    others = {name: name for name in state if not name.startswith(prefix) and name not in short and name not in own}
    names = short | others
    return {name: state[full] for name, full in names.items()}, names, [f"names are read without their {prefix!r}"]


def _classifier(model: nn.Module, own: dict[str, Tensor]) -> set[str]:
    """Return the names of the classifier's tensors, statistics of its norms among them."""
    parameters = head_parameters(model)
    layers = {name.rpartition(".")[0] for name in parameters}
    return {name for name in own if name in parameters or name.rpartition(".")[0] in layers - {""}}


def _other_classes(read: WeightsFile, classes: Sequence[str] | None) -> str:
    """Return why a classifier is not to be copied; empty where it tells the same classes apart, in the same order."""
    if read.classes is None:
        return "which classes it tells apart is not known"
    if classes is None or read.classes == tuple(classes):
        return "" if classes is not None else "which classes are wanted is not known"
    return f"it tells apart {', '.join(read.classes)}; here they are {', '.join(classes)}"


def _first_layers(model: nn.Module) -> set[str]:
    """Return the names of the weights that see the channels of the image."""
    first = getattr(model, "pretrained_cfg", {}).get("first_conv") or ()
    return {f"{layer}.weight" for layer in ((first,) if isinstance(first, str) else first)}


def _adapted(state: dict[str, Tensor], own: dict[str, Tensor], model: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """Return ``state`` fitted to the model's input, and the names that were changed for it."""
    if all(name in own and own[name].shape == value.shape for name, value in state.items()):
        return state, []
    before = {name: value.shape for name, value in state.items()}
    # timm keeps beside each family a function that maps foreign names and interpolates position embeddings.
    beside = vars(sys.modules[type(model).__module__])
    convert = beside.get("checkpoint_filter_fn") or beside.get("_filter_fn")
    if convert is not None:
        try:
            state = dict(convert(dict(state), *([model] if len(signature(convert).parameters) > 1 else [])))
        except Exception as error:  # made for the checkpoints that timm knows: others may not suit it
            _log.debug("%s: not converted: %s", type(model).__name__, error)
    else:
        state = dict(state)
    for name in _first_layers(model):
        if name in own and name in state and state[name].ndim == 4:
            state[name] = _with_channels(state[name], own[name].shape)
    return state, [name for name, value in state.items() if name in before and before[name] != value.shape]


def _with_channels(weight: Tensor, shape: torch.Size) -> Tensor:
    """Return a first convolution for the number of channels in ``shape``, as timm adapts it."""
    if weight.shape[0] != shape[0] or weight.shape[2:] != shape[2:]:
        return weight
    theirs, ours = weight.shape[1], shape[1]
    if (theirs, ours) == (3, 1):
        return adapt_input_conv(1, weight)  # summed: a grey image is the same in all three
    if (theirs, ours) == (1, 3):
        return weight.repeat(1, 3, 1, 1) / 3  # the reverse, which timm does not know for every version
    return weight
