"""Another way to compute a convolution on a CPU, for where oneDNN's own is slow.

A network made for 224 pixels sees maps of 2x2 and 3x3 in its last stages when the faces have 48.  There oneDNN's
convolutions leave most of some processors idle, the gradient of the weights above all.  Written out as columns
(Chellapilla et al. 2006, "im2col") the same sums are one matrix multiplication, and the columns of a small map cost
next to nothing.  Depthwise convolutions of small maps are multiplications too, one a channel (see `depthwise` beside
this).  Grouped ones may have no quick gradient in bf16; they can stay in float32 among others in bf16.  Where the other
way is the quicker one is measured, see `fer_tune.training.computing.measuring`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from fer_tune.training.computing.depthwise import is_depthwise, is_small, multiplied


def other_ways(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Return the convolutions of ``model`` that have another way, by name.

    Subclasses of `nn.Conv2d`, and convolutions that pad otherwise than with zeros, have none.
    """
    named = model.named_modules()
    return {name: module for name, module in named if isinstance(module, nn.Conv2d) and _other(module) is not None}


def compute_otherwise(model: nn.Module, names: Collection[str]) -> None:
    """Let the convolutions of ``model`` called ``names``, in place, go the other way, and all others PyTorch's.

    Only training on a CPU is changed.  Weights keep their names, shapes and layout; results are the same but for
    rounding.

    Raises:
        KeyError: one of them has no other way.
    """
    found = other_ways(model)
    if unknown := sorted(set(names) - found.keys()):
        raise KeyError(f"no other way to compute {', '.join(unknown)}")
    for name, module in found.items():
        other = _other(module)
        module.__class__ = other if name in names and other is not None else nn.Conv2d


def is_grouped(conv: nn.Conv2d) -> bool:
    """Whether the other way of ``conv`` is always float32, among others in bf16 too; else it is columns."""
    return conv.groups > 1


def has_other_in_float32(conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether the two ways of ``conv``, given ``x`` (B, C, H, W), differ where all is float32."""
    return not is_grouped(conv) or (is_depthwise(conv) and is_small(x))


def _other(module: nn.Conv2d) -> type[nn.Conv2d] | None:
    if type(module) not in (nn.Conv2d, _GroupedConv2d, _DenseConv2d):
        return None
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None
    if is_grouped(module):
        return _GroupedConv2d
    return _DenseConv2d if module.dilation == (1, 1) else None


class _GroupedConv2d(nn.Conv2d):
    """In float32, also where autocast says bf16, and multiplied by channel where it can be."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        if not torch.is_autocast_enabled("cpu"):
            return self._in_float32(x)
        with torch.autocast("cpu", enabled=False):
            return self._in_float32(x.float()).to(torch.get_autocast_dtype("cpu"))

    def _in_float32(self, x: Tensor) -> Tensor:
        return multiplied(self, x) if is_depthwise(self) and is_small(x) else super().forward(x)


class _DenseConv2d(nn.Conv2d):
    """A matrix multiplication in training; forward alone, columns gain nothing."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        high, wide = _output_size(x, self.kernel_size, self.stride, self.padding)
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
