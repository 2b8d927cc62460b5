"""A training step that is captured once and replayed, where that can be; else it runs as it is.

On a GPU a step of a small network is hundreds of kernels, each shorter than the host takes to launch it: the GPU
computes a sixth of the time.  A CUDA graph launches all of them at once (PyTorch's "CUDA semantics", section "CUDA
Graphs").  What is captured are addresses: the inputs are copied into buffers of the graph, all else stays where it is.

Dropout draws anew at each replay: the device's default generator is registered with every graph, and each replay reads
its seed and its place, and moves the place on.  So ``torch.manual_seed`` between two replays holds too.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from fer_tune.training.learning.optimisers import can_be_captured
from fer_tune.training.steps.snapshot import Snapshot
from fer_tune.training.steps.stopwatch import Stopwatch

WARM_UP = 3  # steps of a shape before it is captured: cuDNN has chosen, the optimiser has its state

_log = logging.getLogger(__name__)

Shapes = tuple[torch.Size | None, ...]


class Recorder(Protocol):
    """What captures; tests have one of their own."""

    def warm_up(self, call: Callable[[], None]) -> bool:
        """Run ``call`` as it will be recorded, and return whether it waited for the device."""

    def record(self, call: Callable[[], None]) -> Callable[[], None]:
        """Record ``call`` without running it, and return what replays it."""

    def held(self) -> float:
        """Return the memory that what is recorded keeps for itself, in MiB."""


class Captured:
    """Calling it on inputs of a shape runs the step: the first times as it is, then captured.

    The first steps are steps of the training like all others, so that nothing need be undone where they end well.  If
    one of them waits for the device, or capturing fails, then everything is put back to where it was, the reason is
    said once, and steps run as they are from there on.  Shapes are captured one by one: the last batch of an epoch may
    be a short one.

    Args:
        step: static, see `fer_tune.training.steps.whole_step`; takes the inputs.
        watch: its lap ``steps`` gets the time of replays; None where the caller takes the time.
        snapshot: takes one of all that the step changes.
        recorder: what captures; None runs every step as it is.
        refusal: why nothing is captured, where ``recorder`` is None; empty if that goes without saying.
        what: is captured, for the log.
    """

    def __init__(
        self,
        step: Callable[..., None],
        watch: Stopwatch | None,
        snapshot: Callable[[], Snapshot],
        recorder: Recorder | None,
        refusal: str = "",
        what: str = "training steps",
    ) -> None:
        self._step, self._watch, self._snapshot, self._recorder = step, watch, snapshot, recorder
        self._seen: Counter[Shapes] = Counter()
        self._graphs: dict[Shapes, tuple[list[list[Tensor]], Callable[[], None]]] = {}
        self._refusal, self._what = "", what
        if refusal:
            self._refuse(refusal)

    @property
    def told(self) -> str:
        """How steps run, in words; empty where there is nothing to say."""
        if self._refusal:
            return f"steps not captured: {self._refusal}"
        return "steps captured" if self._graphs else ""

    @property
    def held(self) -> float:
        """Memory of the graphs in MiB, which the allocator does not count as used."""
        return 0.0 if self._recorder is None else self._recorder.held()

    def __call__(self, *inputs: Tensor | None) -> None:
        """Run one step; None stands for what there is not, in every call alike."""
        shapes = tuple(None if given is None else given.shape for given in inputs)
        if self._recorder is not None and self._seen[shapes] < WARM_UP:
            self._warm_up(self._recorder, shapes, inputs)
            return
        if self._recorder is not None and shapes not in self._graphs:
            self._capture(self._recorder, shapes, inputs)
        if self._recorder is None:
            self._step(*inputs)
            return
        buffers, replay = self._graphs[shapes]
        with nullcontext() if self._watch is None else self._watch.lap("steps"):
            for ours, given in zip(buffers, _alike(inputs), strict=True):
                torch._foreach_copy_(ours, given)
            replay()

    def release(self) -> None:
        """Give up the graphs and their memory; later steps run as they are."""
        self._graphs.clear()
        self._recorder = None

    def _warm_up(self, recorder: Recorder, shapes: Shapes, inputs: tuple[Tensor | None, ...]) -> None:
        waited = recorder.warm_up(lambda: self._step(*inputs))
        self._seen[shapes] += 1
        if waited and self._seen[shapes] == WARM_UP:  # the earlier ones may: cuDNN tries its ways
            self._refuse("a step waits for the device")

    def _capture(self, recorder: Recorder, shapes: Shapes, inputs: tuple[Tensor | None, ...]) -> None:
        before = None
        try:
            before = self._snapshot()
            buffers = [None if given is None else given.clone() for given in inputs]
            replay = recorder.record(lambda: self._step(*buffers))
        except Exception as error:  # whatever it is, the step itself has run well three times
            cause = error.__context__ or error  # ending a capture that is broken raises anew
            told = " ".join(str(cause).split())[:200]
            self._refuse(f"{type(cause).__name__}: {told}")
            if before is not None:
                before.restore()
            return
        self._graphs[shapes] = (_alike(buffers), replay)

    def _refuse(self, why: str) -> None:
        self.release()
        self._refusal = why
        _say(f"not captured in a CUDA graph, run one kernel at a time: {self._what}: {why}")


def reason_against(device: torch.device, world: int, optimizer: Optimizer | None = None) -> str | None:
    """Return why the steps of a run are not captured; empty where none ever is, as on a CPU; None if they are.

    Args:
        device: where it trains.
        world: ranks that share a batch.
        optimizer: of the steps; evaluation has none.
    """
    if device.type != "cuda":
        return ""
    if world > 1:
        return f"{world} workers share each batch"
    if optimizer is not None and not can_be_captured(optimizer):
        return f"the optimiser {type(optimizer).__name__} computes on the host"
    return None


def _alike(inputs: Iterable[Tensor | None]) -> list[list[Tensor]]:
    """Return those that are there by their type: one kernel copies all of a type."""
    found: dict[torch.dtype, list[Tensor]] = {}
    for given in inputs:
        if given is not None:
            found.setdefault(given.dtype, []).append(given)
    return list(found.values())


@functools.cache
def _say(told: str) -> None:
    """Say it once in a process."""
    _log.warning(told)
