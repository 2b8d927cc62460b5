"""Reading tensors: a safetensors file, mapped or as plain bytes where the file system cannot map; arrays of numpy."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor

_LONGEST = 100_000_000  # bytes of a header: what the library of safetensors allows


def is_safetensors(file: Path) -> bool:
    """Tell whether a file begins as safetensors does: with the length of a header, and a JSON object."""
    with file.open("rb") as opened:
        head = opened.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST


def is_arrays(file: Path) -> bool:
    """Tell whether a file holds named arrays as numpy saves them (.npz)."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_arrays(file: Path) -> dict[str, Any]:
    """Return the arrays of numbers of ``file`` by name, in its order; None for what is pickled in it."""
    found: dict[str, Any] = {}
    with np.load(file, allow_pickle=False) as arrays:
        for name in arrays.files:
            try:
                found[name] = arrays[name]
            except ValueError:  # objects: to read them could run code
                found[name] = None
    return found


def read_tensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of ``file`` by name, on the CPU, and what is written beside them.

    Raises:
        OSError: it cannot be read.
        safetensors.SafetensorError: it is damaged.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
            return tensors, opened.metadata() or {}
    except OSError:
        content = file.read_bytes()  # raises what is wrong, if it is not the mapping
        size = int.from_bytes(content[:8], "little")  # of the header: https://huggingface.co/docs/safetensors
        tensors = load(content)
        return tensors, json.loads(content[8 : 8 + size]).get("__metadata__", {})
