"""Where the seconds and the memory of an epoch went."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch

from fer_tune.training.memory.process_memory import process_memory

T = TypeVar("T")


class Stopwatch:
    """Seconds by name.  On a GPU the marks are events in its queue, so that nothing waits before the epoch's end."""

    def __init__(self, device: torch.device) -> None:
        self._gpu = device.type == "cuda"
        self._marks: dict[str, list[tuple[float | torch.cuda.Event, float | torch.cuda.Event]]] = {}

    @contextlib.contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Add the block's time to ``name``; while a step is captured nothing runs, and nothing is added."""
        if self._gpu and torch.cuda.is_current_stream_capturing():
            yield
            return
        began = self._now()
        yield
        self._marks.setdefault(name, []).append((began, self._now()))

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Yield the items, and add the time they take to come to ``name``."""
        iterator = iter(items)
        while True:
            began = self._now()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._marks.setdefault(name, []).append((began, self._now()))
            yield item

    def seconds(self) -> dict[str, float]:
        """Return the sum of each name since the last call; waits for the device."""
        if self._gpu:
            torch.cuda.synchronize()
        spent = {name: sum(_between(*marks) for marks in laps) for name, laps in self._marks.items()}
        self._marks.clear()
        return spent

    def _now(self) -> float | torch.cuda.Event:
        if not self._gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def _between(began: float | torch.cuda.Event, ended: float | torch.cuda.Event) -> float:
    if isinstance(began, float) or isinstance(ended, float):
        assert isinstance(began, float)
        assert isinstance(ended, float)
        return ended - began
    return float(began.elapsed_time(ended)) / 1000


def reset_peak_memory(device: torch.device) -> None:
    """Start to watch for the highest memory use from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # Linux; where it is refused, the peak is that of the process
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> float:
    """Return the highest memory use since the reset in MiB: of this process's tensors on a GPU, else of the process.

    NaN on a CPU whose system does not tell.
    """
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    return process_memory("VmHWM")
