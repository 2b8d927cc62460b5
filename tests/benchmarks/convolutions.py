"""What the convolutions of `fer_tune.training.convolutions` gain, by themselves and in whole networks.

`python tests/benchmarks/convolutions.py [BACKBONE ...]`, on an idle machine.  First forward and backward of one
convolution, plain and multiplied, over maps of 1x1 to 12x12: from that follow the bounds of `multiplied`.
Then bare training steps at 48 px, batch 64, in both precisions.  All in turns in one run; ratios are medians.
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.models import create_model
from fer_tune.training import convolutions
from fer_tune.training.convolutions import quicken_convolutions
from fer_tune.training.optimisers import build_optimizer
from fer_tune.training.step import Step

BATCH, TURNS, STEPS = 64, 3, 5
SIDES = (1, 2, 3, 4, 6, 12)
CONVOLUTIONS = ((3, 64, 64), (3, 128, 128), (3, 256, 256), (3, 512, 512), (1, 96, 576), (1, 512, 2048))
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
BACKBONES = (
    "resnet18",
    "resnext50_32x4d",
    "efficientnet_b0",
    "mobilenetv3_small_100",
    "cnn_residual",
    "cnn_separable",
)


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
    """Return how many times quicker a multiplication is, whatever the bounds say."""
    plain = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=False).to(memory_format=torch.channels_last)
    quick = copy.deepcopy(plain)
    quicken_convolutions(quick)
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

    first, second = seconds(step(plain), step(quick), 9)
    return first / second


def print_convolutions() -> None:
    chosen = convolutions.multiplied
    convolutions.multiplied = lambda conv, dtype, pixels: True
    print("\nconvolution / multiplication, seconds forward and backward; * where the trainer multiplies")
    print(f"{'':23}" + "".join(f"{side}x{side}".rjust(9) for side in SIDES))
    for kernel, channels, outputs in CONVOLUTIONS:
        for precision, dtype in PRECISIONS.items():
            row = ""
            for side in SIDES:
                taken = chosen(nn.Conv2d(channels, outputs, kernel), dtype, side**2)
                row += f"{one_convolution(kernel, channels, outputs, side, dtype):8.2f}{'*' if taken else ' '}"
            print(f"{f'{kernel}x{kernel} {channels} to {outputs}':18} {precision:5}" + row, flush=True)
    convolutions.multiplied = chosen


def network(backbone: str, precision: str) -> tuple[float, float]:
    """Return images per second of bare steps, plain and quickened."""
    config = TrialConfig(backbone=backbone, epochs=1, batch_size=BATCH, precision=precision)
    images = torch.randn(BATCH, 1, 48, 48).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 7, (BATCH,))

    def steps(quickened: bool) -> Callable[[], None]:
        model = create_model(backbone, num_classes=7, in_chans=1, image_size=48).to(memory_format=torch.channels_last)
        if quickened:
            quicken_convolutions(model)
        step = Step(model.train(), build_optimizer(model, config), nn.CrossEntropyLoss(), config, torch.device("cpu"))

        def run() -> None:
            for _ in range(STEPS):
                step(images, labels)

        return run

    plain, quick = seconds(steps(False), steps(True), TURNS)
    return BATCH * STEPS / plain, BATCH * STEPS / quick


def main() -> None:
    chosen = sys.argv[1:] or BACKBONES
    print(f"CPU, {torch.get_num_threads()} threads, AMX: {torch.cpu._is_amx_tile_supported()}")
    if not sys.argv[1:]:
        print_convolutions()
    print("\nimages/s of bare training steps")
    print(f"{'':24} {'':6} {'plain':>8} {'quickened':>10} {'ratio':>6}")
    for backbone in chosen:
        for precision in PRECISIONS:
            plain, quick = network(backbone, precision)
            print(f"{backbone:24} {precision:6} {plain:8.0f} {quick:10.0f} {quick / plain:6.2f}", flush=True)


if __name__ == "__main__":
    main()
