"""What a weights file holds: the tensors by name, and the classes that its classifier tells apart.

People keep weights in many ways: bare, inside what a training program saved (``{"net": ..., "epoch": 3}``), beside
numbers that are no weights, or not as weights at all but as a pickled object.  Nothing is unpickled that could
run code: torch reads with ``weights_only=True``, and is allowed, beyond what it knows by itself, numpy's numbers and
arrays and argparse's options, which are plain data.
"""

from __future__ import annotations

import argparse
import json
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from fer_tune.errors import UserError
from fer_tune.layout import SETTINGS
from fer_tune.models.weights.tensors import read_tensors

_NESTS = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training code keeps it, the best first
_DEPTH = 3  # nests within nests that are looked into
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
    """Read a safetensors file, or a state dict saved by torch.

    Raises:
        UserError: no such file, it is no weights file, it could not be read without running code in it, or it holds no
            state dict or several.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such weights file")
    if file.suffix == ".safetensors":
        return _read_safetensors(file)
    try:
        with safe_globals(_PLAIN):
            saved = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged file
        raise UserError(f"{file}: {_why_not(file, error)}") from error
    notes: list[str] = []
    state, ignored = _tensors(_inmost(saved, file, notes))
    if not state:
        raise UserError(f"{file}: holds no state dict (a mapping from names to tensors)")
    if ignored:
        notes.append(f"ignored beside the tensors: {some(ignored)}")
    state = {_unwrapped(name): tensor for name, tensor in state.items()}
    return WeightsFile(state, _classes_beside(file), tuple(notes))


def _read_safetensors(file: Path) -> WeightsFile:
    try:
        tensors, about = read_tensors(file)
        told = about.get("classes")
        classes = tuple(map(str, json.loads(told))) if told else _classes_beside(file)
    except Exception as error:
        raise UserError(f"{file}: cannot be read as weights ({_first(error)})") from error
    return WeightsFile({_unwrapped(name): tensor for name, tensor in tensors.items()}, classes, ordered=False)


def _inmost(saved: Any, file: Path, notes: list[str]) -> Any:
    """Return the mapping of tensors that is meant, of those nested in what was saved."""
    if not isinstance(saved, dict):
        return {}
    found = dict(_nests(saved, ()))
    if () in found or not found:
        return saved
    known = next(((key,) for key in _NESTS if (key,) in found), None)
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


def _tensors(mapping: dict[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors in a mapping, arrays of numbers among them, and the names of what is ignored."""
    state: dict[str, Tensor] = {}
    ignored = []
    for name, value in mapping.items():
        if isinstance(value, Tensor):
            state[name] = value
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            state[name] = torch.from_numpy(value)
        else:
            ignored.append(name)
    return state, ignored


def _why_not(file: Path, error: Exception) -> str:
    """Return why torch could not read a file, and how to make weights of it where it holds something else."""
    once = "make weights of it once, if you trust it"
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            return f"is a TorchScript program, no weights; {once}: `{_convert(f'torch.jit.load({file.name!r})')}`"
    if foreign := _foreign(file, error):
        load = _convert(f"torch.load({file.name!r}, weights_only=False)")
        return (
            f"is a pickled object, no state dict: it needs {some(foreign, 3)}, and to read it could run code. Where "
            f"that code is installed, {once}: `{load}`"
        )
    return f"cannot be read as weights ({_first(error)})"


def _convert(load: str) -> str:
    return f"torch.save({load}.state_dict(), 'weights.pt')"


def _foreign(file: Path, error: Exception) -> list[str]:
    """Return the classes and functions that a pickle calls for and that are not plain data, in its order.

    The first is that of the whole object.  The pickle is read as text is, and nothing in it is run.
    """
    try:
        with safe_globals(_PLAIN):
            found = set(get_unsafe_globals_in_checkpoint(file))
        with zipfile.ZipFile(file) as archive:
            pickled = archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))
        told = [str(value).replace(" ", ".") for code, value, _ in pickletools.genops(pickled) if code.name == "GLOBAL"]
        return list(dict.fromkeys([*(name for name in told if name in found), *sorted(found)]))
    except Exception:  # not of the newer format: the error names the first of them
        return re.findall(r"GLOBAL (\S+)", str(error))[:1]


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


def _first(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def some(names: tuple[str, ...] | list[str], most: int = 4) -> str:
    """Return names for a message: the first few, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _unwrapped(name: str) -> str:
    for prefix in _WRAPPERS:
        name = name.removeprefix(prefix)
    return name
