"""Starting weights from a file: what fits is copied, what does not is reported."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from fer_tune.errors import UserError
from fer_tune.models.run_weights import find_weights

_log = logging.getLogger(__name__)
_NESTS = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training code keeps it, the best first
_PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")  # torch.compile and DistributedDataParallel, in either order


@dataclass(frozen=True)
class LoadReport:
    """What of a file became starting weights.

    Attributes:
        file: the file that was read.
        copied: tensors that were copied, by the model's names.
        adapted: those of them whose shape had to be changed: the first convolution for other channels, position
            embeddings for another image size.
        reshaped: tensors with the right name and another shape: name -> (in the file, in the model); not copied.
        missing: tensors of the model that the file lacks.
        unused: tensors of the file that the model lacks.
        numbers: how many numbers were copied.
        of: how many the model has.
    """

    file: Path
    copied: tuple[str, ...]
    adapted: tuple[str, ...] = ()
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    numbers: int = 0
    of: int = 0

    def __str__(self) -> str:
        total = len(self.copied) + len(self.reshaped) + len(self.missing)
        share = f"{100 * self.numbers / max(1, self.of):.1f}"
        lines = [f"{self.file}: {len(self.copied)} of {total} tensors copied, {share} % of the numbers"]
        if self.adapted:
            lines.append(f"  adapted to this input: {_some(self.adapted)}")
        if self.reshaped:
            told = [f"{name} {list(theirs)} for {list(ours)}" for name, (theirs, ours) in self.reshaped.items()]
            lines.append(f"  of another shape, left as initialised: {_some(told)}")
        if self.missing:
            lines.append(f"  not in the file, left as initialised: {_some(self.missing)}")
        if self.unused:
            lines.append(f"  in the file, of no use here: {_some(self.unused)}")
        return "\n".join(lines)


def load_weights(model: nn.Module, source: str | Path, backbone: str | None = None) -> LoadReport:
    """Copy from ``source`` what fits ``model`` in name and shape, and log the report.

    Args:
        model: the network; tensors that do not fit keep their values.
        source: a safetensors file, a state dict saved by torch (read with ``weights_only=True``), or a folder that
            a training run left (see :func:`~fer_tune.models.run_weights.find_weights`).
        backbone: which backbone's trials to look at in the folder of a search over several.

    Raises:
        UserError: nothing there, unreadable, or no weight in it fits.
    """
    file = find_weights(Path(source), backbone)
    state = read_state(file)
    own = model.state_dict()
    state, adapted = _adapted(state, own, model)
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not any(value.ndim > 1 for value in fitting.values()):  # a bias of seven numbers fits by chance
        raise UserError(
            f"{file}: no weight in it fits this backbone in name and shape; is it of another backbone? It holds "
            f"{_some(tuple(state))}; the backbone has {_some(tuple(own))}"
        )
    model.load_state_dict(fitting, strict=False)
    report = LoadReport(
        file=file,
        copied=tuple(fitting),
        adapted=tuple(name for name in adapted if name in fitting),
        reshaped={
            name: (tuple(state[name].shape), tuple(own[name].shape))
            for name in own
            if name in state and name not in fitting
        },
        missing=tuple(name for name in own if name not in state),
        unused=tuple(name for name in state if name not in own),
        numbers=sum(value.numel() for value in fitting.values()),
        of=sum(value.numel() for value in own.values()),
    )
    _log.info("%s", report)
    return report


def read_state(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, without what wrappers put before the names.

    Raises:
        UserError: no such file, it cannot be read without running code in it, or it holds no state dict.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such weights file")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds on a damaged file
        told = " ".join(str(error).split())[:300]
        raise UserError(f"{file}: cannot be read as weights ({type(error).__name__}: {told})") from error
    for key in _NESTS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{file}: holds no state dict (a mapping from names to tensors)")
    return {_unwrapped(name): value for name, value in state.items()}


def _adapted(state: dict[str, Tensor], own: dict[str, Tensor], model: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """Return ``state`` fitted to the model's input, and the names that were changed for it."""
    if all(name in own and own[name].shape == value.shape for name, value in state.items()):
        return state, []
    before = {name: value.shape for name, value in state.items()}
    # timm keeps beside each family a function that maps foreign names and interpolates position embeddings.
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        try:
            state = dict(convert(dict(state), model))
        except Exception as error:  # made for the checkpoints that timm knows: others may not suit it
            _log.debug("%s: not converted: %s", type(model).__name__, error)
    first = getattr(model, "pretrained_cfg", {}).get("first_conv") or ()
    for layer in (first,) if isinstance(first, str) else first:
        name = f"{layer}.weight"
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


def _unwrapped(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _some(names: tuple[str, ...] | list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
