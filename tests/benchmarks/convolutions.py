"""What one convolution gains the other way on this processor, over maps of 1x1 to 12x12, forward and backward.

`python tests/benchmarks/convolutions.py`, on an idle machine, or with one thread (OMP_NUM_THREADS=1), of which the
seconds of the processor count, on one that others use.  Both ways in turns in one run; ratios are medians.  The other
way is columns, and for depthwise convolutions a multiplication a channel (in bf16 float32 where maps are larger than
8x8).  bf16 is left out where the processor has no instructions for it.  What whole networks gain is printed by
`training.py`.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable

import torch
from torch import nn

from fer_tune.training.computing.convolutions import compute_otherwise
from fer_tune.training.computing.measuring import clock
from fer_tune.training.processor import multiplies_bf16, processor, processor_name

BATCH, TURNS = 64, 9
SIDES = (1, 2, 3, 4, 6, 12)
CONVOLUTIONS = ((3, 64, 64), (3, 128, 128), (3, 256, 256), (3, 512, 512), (1, 96, 576), (1, 512, 2048))
DEPTHWISE = ((3, 240), (3, 1152), (5, 240), (5, 672), (5, 1152), (7, 192), (7, 768))  # of EfficientNet and ConvNeXt


def seconds(one: Callable[[], None], other: Callable[[], None], turns: int) -> tuple[float, float]:
    """Return the median seconds of both, measured in turns after one call each."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for kept, call in zip(taken, (one, other), strict=True):
            began = clock()
            call()
            if turn:
                kept.append(clock() - began)
    return statistics.median(taken[0]), statistics.median(taken[1])


def one_convolution(kernel: int, channels: int, outputs: int, groups: int, side: int, dtype: torch.dtype) -> float:
    """Return how many times quicker the other way is."""
    plain = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    plain = plain.to(memory_format=torch.channels_last)
    quick = copy.deepcopy(plain)
    compute_otherwise(quick, [""])
    x, gradient = (
        torch.randn(BATCH, c, side, side).to(dtype=dtype, memory_format=torch.channels_last)
        for c in (channels, outputs)
    )
    x.requires_grad_()

    def step(conv: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                out = conv(x)
            out.backward(gradient)

        return run

    first, second = seconds(step(plain), step(quick), TURNS)
    return first / second


def main() -> None:
    precisions = {"fp32": torch.float32}
    if multiplies_bf16(processor()):
        precisions["bf16"] = torch.bfloat16
    print(f"{processor_name(processor())}, {torch.get_num_threads()} threads")
    print("PyTorch's convolution / the other way, seconds forward and backward")
    print(f"{'':29}" + "".join(f"{side}x{side}".rjust(8) for side in SIDES))
    dense = [(f"{kernel}x{kernel} {c} to {outputs}", (kernel, c, outputs, 1)) for kernel, c, outputs in CONVOLUTIONS]
    by_channel = [(f"{kernel}x{kernel} depthwise {c}", (kernel, c, c, c)) for kernel, c in DEPTHWISE]
    for told, convolution in dense + by_channel:
        for precision, dtype in precisions.items():
            row = "".join(f"{one_convolution(*convolution, side, dtype):8.2f}" for side in SIDES)
            print(f"{told:24} {precision:5}" + row, flush=True)


if __name__ == "__main__":
    main()
