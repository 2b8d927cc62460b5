"""Which numbers a step computes with, where that is not measured: what is asked for, and what a GPU has."""

from __future__ import annotations

import contextlib

import torch


def gpu_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type for autocast on a GPU, or None for float32 throughout.

    ``bf16`` needs no loss scaling, its exponent is that of float32 (Kalamkar et al. 2019).  ``auto`` takes it from
    compute capability 8.0 on, whose tensor cores multiply in it.
    """
    if precision == "auto":
        quicker = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if quicker else None
    return torch.bfloat16 if precision == "bf16" else None


def autocast(dtype: torch.dtype | None, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the context a forward pass runs in."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


def set_up_gpu(device: torch.device | str) -> None:
    """Let a GPU compute in this process as is quickest: in TF32 where it has it, and convolutions by measuring.

    It multiplies float32 matrices in TF32, as its convolutions do anyway; so training, refits, the held-out test and
    predictions compute alike.  cuDNN times its ways to compute a convolution when it first sees a shape: here shapes
    are few, and each comes thousands of times.  On a CPU the first switch would let oneDNN choose numbers of its own,
    so there both are left.
    """
    if torch.device(device).type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
