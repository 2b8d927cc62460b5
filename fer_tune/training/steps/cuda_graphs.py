"""What captures a call in a CUDA graph: the `Recorder` of `fer_tune.training.steps.captured` on a GPU."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator

import torch

_MIB = 2**20


class CudaGraphs:
    """Records calls on ``device``; all graphs share one pool of memory, for they never run at the same time.

    As PyTorch asks, a call is warmed up and recorded on one stream that is not the default one: the nodes of the
    backward pass remember where they were made.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _side_stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._held = 0

    def warm_up(self, call: Callable[[], None]) -> bool:
        """See `Recorder`.  PyTorch warns of calls that wait for the device, which a graph cannot hold."""
        outside = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(outside)
        with torch.cuda.stream(self._stream), _waits_noted() as waits:
            call()
        outside.wait_stream(self._stream)
        return bool(waits)

    def record(self, call: Callable[[], None]) -> Callable[[], None]:
        """See `Recorder`.

        Raises:
            RuntimeError: the call does what cannot be captured, or there is too little memory for its graph; stream
                and random numbers are as before.
        """
        outside = torch.cuda.current_stream(self._device)
        random = torch.cuda.get_rng_state(self._device)
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()  # what the warm-up needed, the graph has for itself from now on
        before = torch.cuda.memory_reserved(self._device)
        graph = torch.cuda.CUDAGraph()
        try:
            # Only what this thread does may break the capture: other threads of the process go about their work.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                call()
        except BaseException:
            # Where ending the capture fails too, neither the stream nor the generator is given back.
            torch.cuda.set_stream(outside)
            self._renew_generator(random)
            raise
        self._held += max(0, torch.cuda.memory_reserved(self._device) - before)
        torch.cuda.reset_peak_memory_stats(self._device)  # replays use what is held, and it is counted apart
        return graph.replay

    def held(self) -> float:
        """See `Recorder`."""
        return self._held / _MIB

    def _renew_generator(self, random: torch.Tensor) -> None:
        """Give the device's generator a state that no graph knows of: the old one may believe to be captured still."""
        with contextlib.suppress(RuntimeError):
            fresh = torch.Generator(self._device)
            fresh.set_state(random)
            index = self._device.index if self._device.index is not None else torch.cuda.current_device()
            torch.cuda.default_generators[index].graphsafe_set_state(fresh)


@functools.cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """Return one stream for all runs of a process: cuBLAS keeps a workspace for each that it sees, for good."""
    return torch.cuda.Stream(device)


@contextlib.contextmanager
def _waits_noted() -> Iterator[list[str]]:
    """Yield a list that will name the calls that waited for the device; other warnings are passed on."""
    waits: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for one in said:
        if "called a synchronizing CUDA operation" in str(one.message):
            waits.append(f"{one.filename}:{one.lineno}")
        elif "Synchronization debug mode" not in str(one.message):  # that it is a prototype, which is said once
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
