"""Depthwise convolution of small maps as one matrix multiplication a channel, for CPUs.

The gradient of a depthwise kernel is what oneDNN is slowest at: on an AMD EPYC without AVX-512 it takes 56 ms for 64
maps of 2x2 with 1,152 channels and kernels of 5x5 (the last stages of an EfficientNet-Lite0 that is given 64 pixels),
which are 7 million multiplications.  Each channel's kernel can be written out as the matrix that leads from its input
pixels to its output pixels (a Toeplitz matrix, see Gray 2006, "Toeplitz and Circulant Matrices: A Review"), then all is
batched matrix multiplication: 10 ms.  Most of such a matrix is zeros where maps are larger than kernels.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

_LARGEST = 64  # pixels of a map: a 7x7 kernel on 8x8 fills half of its matrix, on 12x12 a quarter, and gains nothing


def is_depthwise(conv: nn.Conv2d) -> bool:
    """Whether each channel of ``conv`` is made of one channel, its own."""
    return conv.groups == conv.in_channels == conv.out_channels > 1


def is_small(x: Tensor) -> bool:
    """Whether the maps of ``x`` (B, C, H, W) are small enough for :func:`multiplied`."""
    return x.shape[2] * x.shape[3] <= _LARGEST


def multiplied(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return what a depthwise ``conv`` makes of ``x``, the same but for rounding.

    Args:
        conv: pads with a number of zeros.
        x: (B, C, H, W) float32.

    Returns:
        (B, C, H', W') float32, channels last.
    """
    size, how = (x.shape[2], x.shape[3]), (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    places, (high, wide) = _places(size, *how)
    pixels: Tensor = _Multiplied.apply(x, conv.weight, places)
    if conv.bias is not None:
        pixels = pixels + conv.bias
    return pixels.view(len(x), high, wide, -1).permute(0, 3, 1, 2)


class _Multiplied(torch.autograd.Function):
    """x (B, C, H, W), weight (C, 1, h, w) and places (h * w, H * W, H' * W') -> (B, H' * W', C).

    It returns no view: what follows may write into its result.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.places = places
        return _by_image(torch.bmm(_by_channel(x), _matrices(weight, places)), len(x))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_pixels: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        places = ctx.places
        of_outputs = _transposed(of_pixels.flatten(0, 1)).view(len(weight), len(x), -1)  # (C, B, H' * W')
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_inputs = torch.bmm(of_outputs, _matrices(weight, places).transpose(1, 2))
            of_x = _by_image(of_inputs, len(x)).view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[1]:
            of_matrices = torch.bmm(_by_channel(x).transpose(1, 2), of_outputs)
            of_weight = (of_matrices.flatten(1) @ places.flatten(1).t()).view_as(weight)
        return of_x, of_weight, None


def _by_channel(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (C, B, H * W), contiguous: of matrices that are not, `bmm` copies one by one."""
    images, channels = x.shape[:2]
    return _transposed(x.permute(0, 2, 3, 1).reshape(-1, channels)).view(channels, images, -1)


def _by_image(of_channels: Tensor, images: int) -> Tensor:
    """(C, B, P) -> (B, P, C)."""
    return _transposed(of_channels.flatten(1)).view(images, -1, len(of_channels))


def _transposed(matrix: Tensor) -> Tensor:
    """Return it contiguous: PyTorch does that in blocks for matrices, and three times as slowly for more axes."""
    return matrix.t().contiguous()


def _matrices(weight: Tensor, places: Tensor) -> Tensor:
    """(C, 1, h, w) -> (C, H * W, H' * W'): from input pixels to output pixels."""
    return (weight.flatten(1) @ places.flatten(1)).view(len(weight), *places.shape[1:])


@functools.cache
def _places(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[Tensor, tuple[int, int]]:
    """Return (h * w, H * W, H' * W') ones where an entry of the kernel leads from a pixel to a pixel, and H', W'.

    It is what `unfold` makes of a map for each input pixel that is one there and zero elsewhere.
    """
    pixels = size[0] * size[1]
    ones = torch.eye(pixels).view(pixels, 1, *size)
    columns = functional.unfold(ones, kernel, dilation, padding, stride)
    high, wide = (
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return columns.transpose(0, 1).contiguous(), (high, wide)
