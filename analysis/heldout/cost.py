"""What a trained model costs to use: how many parameters it has, and how long an image takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from analysis.results import Cost
from fer_tune.amounts import amount

_WARM_UP, _REPEATS, _BATCH, _BATCHES = 3, 30, 64, 3


@contextmanager
def watched(model: Any) -> Iterator[list[tuple[int, ...]]]:
    """Yield a list that gets the (C, H, W) of the first batch that ``model`` is given; none for what is no module."""
    shapes: list[tuple[int, ...]] = []
    if not hasattr(model, "register_forward_pre_hook"):
        yield shapes
        return
    hook = model.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape[1:])))
    try:
        yield shapes
    finally:
        hook.remove()


def measure(model: Any, shape: tuple[int, ...], device: str) -> Cost:
    """Measure ``model`` on noise, forward pass only.

    The times are those of this machine as busy as it is: they compare configurations that were tested together.

    Args:
        model: a classifier on ``device``, in evaluation mode.
        shape: of one image as the model takes it, (C, H, W).
        device: a torch device.
    """
    import torch

    target = torch.device(device)
    noise = torch.randn(_BATCH, *shape, generator=torch.Generator().manual_seed(0))
    images = noise.to(target, memory_format=torch.channels_last)

    def seconds(batch: Any) -> float:
        began = time.perf_counter()
        model(batch)
        if target.type == "cuda":
            torch.cuda.synchronize(target)
        return time.perf_counter() - began

    with torch.inference_mode():
        for _ in range(_WARM_UP):
            seconds(images[:1])
        alone = [1000 * seconds(images[:1]) for _ in range(_REPEATS)]
        seconds(images)
        together = min(seconds(images) for _ in range(_BATCHES))
    low, median, high = np.quantile(alone, [0.1, 0.5, 0.9])
    cpu = f"cpu, {amount(torch.get_num_threads(), 'thread')}"
    name = torch.cuda.get_device_name(target) if target.type == "cuda" else cpu
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        latency_ms=float(median),
        latency_low_ms=float(low),
        latency_high_ms=float(high),
        images_per_second=_BATCH / together,
        batch_size=_BATCH,
        device=name,
    )
