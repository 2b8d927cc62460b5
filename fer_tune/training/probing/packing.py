"""How quick training is in a process that shares its GPU: ``python -m fer_tune.training.probing.packing``.

It trains as a trial does, and prints what it took: a `Taken` as JSON.  Where several are compared they begin together:
each says that it is ready by a file beside ``gate``, and goes on when that is there.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.training.memory.gpu_share import hold_to_share
from fer_tune.training.probing.probe import Rehearsal
from fer_tune.training.steps.captured import WARM_UP

_SETTLED = 2 * WARM_UP + 4  # steps: captured, and some more
_TOGETHER = 20  # steps between two waits for the device, which cost time themselves


@dataclass(frozen=True)
class Asked:
    """What a process is to do.

    Attributes:
        config: of a trial, plain values.
        dataset: path of the prepared dataset.
        share: of the GPU's memory.
        seconds: to train for.
        gate: path of the file that lets it begin; those that are ready are beside it, ``GATE.PID``.
    """

    config: dict[str, Any]
    dataset: str
    share: float
    seconds: float
    gate: str


@dataclass(frozen=True)
class Taken:
    """What training took.

    Attributes:
        images_per_second: of this process.
        held: bytes of the GPU's memory that this process took for tensors and graphs, at most.
        beside: bytes of it that are in use apart from these, such as the CUDA context's.
        total: bytes that it has; 0 without a GPU, and so are the others.
    """

    images_per_second: float
    held: int
    beside: int
    total: int


def taken(asked: Asked, device: torch.device) -> Taken:
    """Train and evaluate some batches for the memory, wait until the gate is open, and train for the time asked for.

    Raises:
        torch.OutOfMemoryError: there is too little memory.
    """
    data, config = PreparedDataset.open(asked.dataset), TrialConfig(**asked.config)
    hold_to_share(asked.share, device)
    rehearsal = Rehearsal(config, data, 1, device)
    steps = rehearsal.steps()
    _take(steps, _SETTLED, device)
    Path(f"{asked.gate}.{os.getpid()}").touch()
    while not Path(asked.gate).exists():
        time.sleep(0.01)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < asked.seconds:
        _take(steps, _TOGETHER, device)
        count += _TOGETHER
    rate = count * config.batch_size / (time.perf_counter() - began)
    _take(rehearsal.looks(), _SETTLED, device)  # in batches of its own, and captured beside the steps
    held = beside = total = 0
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        held = torch.cuda.max_memory_reserved(device)
        beside = total - free - torch.cuda.memory_reserved(device)
    return Taken(rate, held, beside, total)


def _take(work: Iterator[None], count: int, device: torch.device) -> None:
    for _ in range(count):
        next(work)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Do what the one argument asks for, and print what it took."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(json.dumps(asdict(taken(Asked(**json.loads(sys.argv[1])), device))))


if __name__ == "__main__":
    main()
