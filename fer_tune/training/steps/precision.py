"""Which numbers a step computes with, where that is not measured: what is asked for, and what a GPU has."""

from __future__ import annotations

import contextlib

import torch

_BF16, _FP16 = (8, 0), (7, 0)  # compute capabilities from which tensor cores multiply in these types


def gpu_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type for autocast on a GPU, or None for float32 throughout.

    ``auto`` takes what the tensor cores multiply in (CUDA C++ Programming Guide, "Compute Capabilities"): bf16 from
    Ampere on (8.0), float16 on Volta and Turing (V100, T4: 7.0 and 7.5), and on older ones, which have none, float32.
    ``bf16`` needs no loss scaling, its exponent is that of float32 (Kalamkar et al. 2019); float16 does, see
    `loss_scaling` beside this.  On other devices ``auto`` is float32, and so is ``fp16``.
    """
    if precision == "fp16":
        return torch.float16 if device.type == "cuda" else None
    if precision == "auto" and device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return torch.bfloat16 if capability >= _BF16 else torch.float16 if capability >= _FP16 else None
    return torch.bfloat16 if precision == "bf16" else None


def judging_dtype(precision: str, device: torch.device | str) -> torch.dtype | None:
    """Return the type for autocast where nothing is trained: that of the training steps on a GPU.

    On a CPU it is float32, whichever is trained in: it is a tenth of the work, and what is recorded is then the same on
    each processor.
    """
    device = torch.device(device)
    return None if device.type == "cpu" else gpu_dtype(precision, device)


def autocast(dtype: torch.dtype | None, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return the context a forward pass runs in."""
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


def set_up_gpu(device: torch.device | str) -> None:
    """Let a GPU multiply float32 matrices in TF32, where it has it, as its convolutions do anyway.

    So training, refits, the held-out test and predictions of this process compute alike.  On a CPU the switch would
    let oneDNN choose numbers of its own, so there it is left.

    cuDNN does not time its ways to compute a convolution (``cudnn.benchmark``), though shapes are fixed.  With it the
    first epoch of EfficientNet-Lite0 (112 px, batch 64, bf16) took 60 s on an H200, without it 37 s, and the later ones
    2.2 s either way; each new shape pays again.  It is likely that cuDNN compiles its ways for depthwise convolutions,
    and more of them to time them: others have seen that take a second and a half (NVIDIA/cudnn-frontend issue 1066).
    """
    if torch.device(device).type == "cuda":
        torch.set_float32_matmul_precision("high")
