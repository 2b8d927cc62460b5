"""Which numbers a step computes with."""

from __future__ import annotations

import contextlib

import torch
from torch import nn


def mixed_dtype(precision: str, device: torch.device, model: nn.Module) -> torch.dtype | None:
    """Return the type for autocast, or None for float32 throughout.

    ``bf16`` needs no loss scaling, its exponent is that of float32 (Kalamkar et al. 2019).  ``auto`` takes it where it
    is quicker: on a GPU of compute capability 8.0 on, and on a CPU that multiplies matrices in it (AMX) where ``model``
    has no depthwise convolutions; those gain nothing (`tests/benchmarks/training.py` prints by how much).
    """
    if precision == "fp32":
        return None
    if precision == "bf16":
        return torch.bfloat16
    if device.type == "cuda":
        quicker = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        quicker = device.type == "cpu" and torch.cpu._is_amx_tile_supported() and not _depthwise(model)
    return torch.bfloat16 if quicker else None


def _depthwise(model: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1 for m in model.modules())


def autocast(dtype: torch.dtype | None, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the context a forward pass runs in."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)
