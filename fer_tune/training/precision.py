"""Which numbers a step computes with."""

from __future__ import annotations

import contextlib

import torch


def mixed_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type for autocast, or None for float32 throughout.

    ``bf16`` needs no loss scaling, its exponent is that of float32 (Kalamkar et al. 2019).  ``auto`` takes it where
    the processor multiplies matrices in it: a GPU of compute capability 8.0 on, or a CPU with AMX.  Elsewhere it is
    emulated and slower (`tests/benchmarks/training.py` prints by how much).
    """
    if precision == "fp32":
        return None
    if precision == "bf16":
        return torch.bfloat16
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = device.type == "cpu" and torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else None


def autocast(dtype: torch.dtype | None, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the context a forward pass runs in."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)
