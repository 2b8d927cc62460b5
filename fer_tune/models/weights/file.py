"""What a weights file holds: the tensors by name, and the classes that its classifier tells apart.

People keep weights in many ways: bare, inside what a training program saved (``{"net": ..., "epoch": 3}``), beside
numbers that are no weights, in parts with an index, or not as weights at all but as a pickled object.  What a file is
goes by its content; its name may be another's.  Nothing is unpickled that could run code: torch reads with
``weights_only=True``, and is allowed, beyond what it knows by itself, numpy's numbers and arrays and argparse's
options, which are plain data.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.serialization import safe_globals

from fer_tune.errors import UserError
from fer_tune.filing.layout import SETTINGS
from fer_tune.models.weights.no_weights import NESTS, first, why_not
from fer_tune.models.weights.tensors import is_arrays, is_safetensors, read_arrays, read_tensors
from fer_tune.models.weights.words import some

_DEPTH = 8  # nests within nests that are looked into: more than people make, and a dictionary may hold itself
_INDEX = ".index.json"  # how a file is called that says in which file each tensor is (transformers writes such)
_WRAPPERS = ("_orig_mod.", "module.", "_orig_mod.")  # torch.compile and DistributedDataParallel, in either order
_NUMPY = np.dtype("f4").__reduce__()[0], np.float32(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
_PLAIN: list[Any] = [
    argparse.Namespace,
    np.ndarray,
    *_NUMPY,
    (_NUMPY[1], "numpy.core.multiarray.scalar"),  # as numpy before 2.0 wrote them
    (_NUMPY[2], "numpy.core.multiarray._reconstruct"),
    *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdgSU"},
]
_RUN_DEPTH = 6  # folders between a run's and a file in it


@dataclass(frozen=True)
class WeightsFile:
    """The content of a weights file.

    Attributes:
        state: tensors by name, in the order of the file.
        classes: what the outputs of its classifier stand for, in order; None where that is not known.
        notes: what was chosen or ignored on the way, in words.
        ordered: whether the order is that of the network; safetensors sorts by name.
    """

    state: dict[str, Tensor]
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    ordered: bool = True


def read_weights(file: Path) -> WeightsFile:
    """Read a safetensors file, a state dict saved by torch, arrays of numpy (.npz), or the parts that an index names.

    Raises:
        UserError: no such file, it is no weights file, it could not be read without running code in it, or it holds no
            state dict or several.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such weights file")
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:  # a disk that fails, a file of someone else: later it would be taken for damage
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    if file.name.endswith(_INDEX):
        return _read_parts(file)
    try:
        if is_safetensors(file):
            return _read_safetensors(file)
        if is_arrays(file):
            saved: Any = read_arrays(file)
        else:
            with safe_globals(_PLAIN), file.open("rb") as opened, warnings.catch_warnings():
                # Opened, for torch would go by the name; and it warns of a TorchScript program before it refuses one.
                warnings.simplefilter("ignore", UserWarning)
                saved = torch.load(opened, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # torch raises many kinds on a damaged file
        raise UserError(f"{file}: {why_not(file, error, _PLAIN)}") from error
    notes: list[str] = []
    state, ignored = _tensors(_inmost(saved, file, notes))
    if not state:
        raise UserError(f"{file}: holds no state dict (a mapping from names to tensors), but {_described(saved)}")
    if ignored:
        notes.append(f"ignored beside the tensors: {some(ignored)}")
    return _content(file, state, _classes_beside(file), notes)


def _read_safetensors(file: Path) -> WeightsFile:
    try:
        tensors, about = read_tensors(file)
    except Exception as error:
        raise UserError(
            f"{file}: cannot be read as weights ({first(error)}); download or copy it again, if it is cut off"
        ) from error
    return _content(file, tensors, _classes_in(about) or _classes_beside(file), ordered=False)


def _read_parts(index: Path) -> WeightsFile:
    """Read the files that an index names, which lie beside it."""
    try:
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        parts = list(dict.fromkeys(Path(str(part)).name for part in names.values()))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UserError(f"{index}: is no index of weights in parts, which maps names to files (weight_map)") from None
    read = [read_weights(index.parent / part) for part in parts]
    state = {name: tensor for each in read for name, tensor in each.state.items()}
    notes = [f"read from {len(parts)} parts", *dict.fromkeys(note for each in read for note in each.notes)]
    return WeightsFile(state, None, tuple(notes), ordered=all(each.ordered for each in read))


def _content(
    file: Path, state: dict[str, Tensor], classes: tuple[str, ...] | None, notes: list[str] | None = None, **about: bool
) -> WeightsFile:
    named = {_unwrapped(name): _dense(file, name, tensor) for name, tensor in state.items()}
    return WeightsFile(named, classes, tuple(notes or ()), **about)


def _dense(file: Path, name: str, tensor: Tensor) -> Tensor:
    """Return a tensor with its numbers one by one, as a network keeps them."""
    if tensor.is_meta:
        raise UserError(f"{file}: {name} has a shape and no numbers (device meta); save the weights themselves")
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    return tensor if tensor.layout is torch.strided else tensor.to_dense()


def _described(saved: Any) -> str:
    """Return what was saved instead of a state dict."""
    if isinstance(saved, dict):
        return f"a dictionary of {some([repr(key) for key in saved])}" if saved else "an empty dictionary"
    if isinstance(saved, list | tuple):
        return f"a {type(saved).__name__} of {len(saved)} entries, which have no names"
    return "a single tensor" if isinstance(saved, Tensor) else f"a {type(saved).__name__}"


def _inmost(saved: Any, file: Path, notes: list[str]) -> Any:
    """Return the mapping of tensors that is meant, of those nested in what was saved."""
    if not isinstance(saved, dict):
        return {}
    found = dict(_nests(saved, ()))
    if () in found or not found:
        return saved
    known = next(((key,) for key in NESTS if (key,) in found), None)
    if known is None and len(found) > 1:
        names = ", ".join(".".join(path) for path in found)
        one = "".join(f"[{key!r}]" for key in next(iter(found)))
        raise UserError(
            f"{file}: holds several sets of tensors ({names}); save the one that is meant: "
            f"`torch.save(torch.load('{file.name}'){one}, 'weights.pt')`"
        )
    path = known or next(iter(found))
    if known is None:
        notes.append(f"taken from {'.'.join(path)}, the only set of tensors in it")
    elif len(found) > 1:
        notes.append(
            f"taken from {path[0]}; it also holds {some(['.'.join(other) for other in found if other != path])}"
        )
    return found[path]


def _nests(mapping: dict[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[Any, Any]]]:
    """Yield the mappings from names to tensors in ``mapping``, by the keys that lead there, outermost alone."""
    if not all(isinstance(key, str) for key in mapping):  # an optimiser's state has numbers
        return
    if any(isinstance(value, Tensor | np.ndarray) and value.ndim > 0 for value in mapping.values()):
        yield path, mapping
        return
    if len(path) < _DEPTH:
        for key, value in mapping.items():
            if isinstance(value, dict):
                yield from _nests(value, (*path, key))


def _tensors(mapping: dict[Any, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors in a mapping, arrays of numbers among them, and the names of what is ignored."""
    state: dict[str, Tensor] = {}
    ignored = []
    for name, value in mapping.items():
        if not isinstance(name, str):
            ignored.append(repr(name))
        elif isinstance(value, Tensor):
            state[name] = value
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            state[name] = torch.from_numpy(value)
        else:
            ignored.append(name)
    return state, ignored


def _classes_in(about: dict[str, str]) -> tuple[str, ...] | None:
    """Return the classes that ours write into a safetensors file; None where others wrote something else there."""
    try:
        told = json.loads(about.get("classes", "null"))
    except ValueError:
        return None
    return tuple(map(str, told)) if isinstance(told, list) else None


def _classes_beside(file: Path) -> tuple[str, ...] | None:
    """Return the classes of the run of ours in whose folder the file lies, if it says."""
    for folder in file.absolute().parents[:_RUN_DEPTH]:
        card = folder / "dataset.json"
        if (folder / SETTINGS).is_file() and card.is_file():
            try:
                return tuple(map(str, json.loads(card.read_text(encoding="utf-8"))["classes"]))
            except (OSError, ValueError, LookupError, TypeError):
                return None
    return None


def _unwrapped(name: str) -> str:
    for prefix in _WRAPPERS:
        name = name.removeprefix(prefix)
    return name
