"""Convolutions on a CPU, where oneDNN's own are slow.

A network made for 224 pixels sees maps of 2x2 and 3x3 in its last stages when the faces have 48.  There oneDNN's
convolutions leave most of the processor idle, the gradient of the weights above all.  Written out as columns
(Chellapilla et al. 2006, "im2col") the same sums are one matrix multiplication, and the columns of a small map cost
next to nothing.  Depthwise convolutions have no quick gradient in bf16; they stay in float32 among others in bf16.
What each gains is printed by `tests/benchmarks/convolutions.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def multiplied(conv: nn.Conv2d, dtype: torch.dtype, pixels: int) -> bool:
    """Whether a multiplication is the quicker way: where the map, of ``pixels``, is small for the number of weights.

    The bounds follow from `tests/benchmarks/convolutions.py`.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        return False
    if conv.kernel_size == conv.stride == (1, 1):  # the map is its own columns
        return conv.weight.numel() >= 5_000 * pixels
    least = 30_000 if dtype == torch.float32 else 10_000
    return pixels <= 36 and conv.weight.numel() >= least * max(pixels, 6)


def quicken_convolutions(model: nn.Module) -> None:
    """Let the convolutions of ``model``, in place, take the quicker way on a CPU, forward and backward.

    Weights keep their names, shapes and layout; results are the same but for rounding.  Subclasses of `nn.Conv2d`,
    and convolutions that pad otherwise than with zeros, are left as they are.
    """
    for module in model.modules():
        if type(module) is not nn.Conv2d or module.padding_mode != "zeros" or isinstance(module.padding, str):
            continue
        if module.groups > 1:
            module.__class__ = _GroupedConv2d
        elif module.dilation == (1, 1):
            module.__class__ = _DenseConv2d


class _GroupedConv2d(nn.Conv2d):
    """In float32, also where autocast says bf16."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))


class _DenseConv2d(nn.Conv2d):
    """A matrix multiplication where the map is small for the number of weights."""

    def forward(self, x: Tensor) -> Tensor:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        high, wide = _output_size(x, self.kernel_size, self.stride, self.padding)
        if x.device.type != "cpu" or not multiplied(self, dtype, high * wide):
            return super().forward(x)
        bias = None if self.bias is None else self.bias.to(dtype)
        rows: Tensor = _Multiplied.apply(x.to(dtype), self.weight.to(dtype), bias, self.stride, self.padding)
        return rows.view(len(x), high, wide, self.out_channels).permute(0, 3, 1, 2)


class _Multiplied(torch.autograd.Function):
    """x (B, C, H, W), weight (O, C, h, w) and bias (O) or None -> (B * H' * W', O), a row per output pixel.

    It returns no view: what follows may write into its result.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.linear(_columns(x, weight.shape[2:], stride, padding), _rows(weight), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_rows: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        how = weight.shape[2:], ctx.stride, ctx.padding
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = _gathered(of_rows @ _rows(weight), x, *how)
        if ctx.needs_input_grad[1]:
            columns = _columns(x, *how)  # anew: nine times the map is much to keep
            of_weight = (of_rows.t() @ columns).view(len(weight), *how[0], -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            of_bias = of_rows.sum(0)
        return of_x, of_weight, of_bias, None, None


def _output_size(x: Tensor, kernel: Any, stride: Any, padding: Any) -> tuple[int, int]:
    high, wide = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(x.shape[2:], kernel, stride, padding, strict=True))
    return high, wide


def _rows(weight: Tensor) -> Tensor:
    """(O, C, h, w) -> (O, h * w * C), a view of a weight that is channels last."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _columns(x: Tensor, kernel: Any, stride: Any, padding: Any) -> Tensor:
    """(B, C, H, W) -> (B * H' * W', h * w * C): what each output pixel is made of."""
    x = x.permute(0, 2, 3, 1)
    if any(padding):
        x = functional.pad(x, (0, 0, padding[1], padding[1], padding[0], padding[0]))
    windows = x.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])  # (B, H', W', C, h, w)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)


def _gathered(columns: Tensor, x: Tensor, kernel: Any, stride: Any, padding: Any) -> Tensor:
    """(B * H' * W', h * w * C) -> the shape of ``x``: each pixel's shares in all outputs, added."""
    channels, *sides = x.shape[1:]
    high, wide = _output_size(x, kernel, stride, padding)
    shares = columns.view(len(x), high, wide, *kernel, channels)
    whole = columns.new_zeros(len(x), sides[0] + 2 * padding[0], sides[1] + 2 * padding[1], channels)
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            whole[:, i : i + stride[0] * high : stride[0], j : j + stride[1] * wide : stride[1]] += shares[
                :, :, :, i, j
            ]
    inner = whole[:, padding[0] : padding[0] + sides[0], padding[1] : padding[1] + sides[1]]
    return inner.permute(0, 3, 1, 2)
