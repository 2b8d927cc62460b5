"""What one convolution gains as columns on this processor, over maps of 1x1 to 12x12, forward and backward.

`python tests/benchmarks/convolutions.py`, on an idle machine.  Both ways in turns in one run; ratios are medians.  What
whole networks gain is printed by `training.py`.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from fer_tune.training.computing.convolutions import compute_otherwise
from fer_tune.training.processor import processor, processor_name

BATCH, TURNS = 64, 9
SIDES = (1, 2, 3, 4, 6, 12)
CONVOLUTIONS = ((3, 64, 64), (3, 128, 128), (3, 256, 256), (3, 512, 512), (1, 96, 576), (1, 512, 2048))
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def seconds(one: Callable[[], None], other: Callable[[], None], turns: int) -> tuple[float, float]:
    """Return the median seconds of both, measured in turns after one call each."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns + 1):
        for kept, call in zip(taken, (one, other), strict=True):
            began = time.perf_counter()
            call()
            if turn:
                kept.append(time.perf_counter() - began)
    return statistics.median(taken[0]), statistics.median(taken[1])


def one_convolution(kernel: int, channels: int, outputs: int, side: int, dtype: torch.dtype) -> float:
    """Return how many times quicker a multiplication is."""
    plain = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=False).to(memory_format=torch.channels_last)
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
    print(f"{processor_name(processor())}, {torch.get_num_threads()} threads")
    print("convolution / multiplication, seconds forward and backward")
    print(f"{'':23}" + "".join(f"{side}x{side}".rjust(8) for side in SIDES))
    for kernel, channels, outputs in CONVOLUTIONS:
        for precision, dtype in PRECISIONS.items():
            row = "".join(f"{one_convolution(kernel, channels, outputs, side, dtype):8.2f}" for side in SIDES)
            print(f"{f'{kernel}x{kernel} {channels} to {outputs}':18} {precision:5}" + row, flush=True)


if __name__ == "__main__":
    main()
