"""Reading a safetensors file: mapped by its library, or as plain bytes where the file system cannot map."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load
from torch import Tensor


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
