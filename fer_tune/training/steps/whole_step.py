"""All that one training step does on the device, from what is drawn for its batch to the metrics."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from fer_tune.data.batching.batches import Batches
from fer_tune.data.batching.drawn import Drawn
from fer_tune.data.batching.feature_batches import FeatureBatches
from fer_tune.training.learning.average import MovingAverage
from fer_tune.training.metrics import Meter
from fer_tune.training.steps.captured import Captured, reason_against
from fer_tune.training.steps.cuda_graphs import CudaGraphs
from fer_tune.training.steps.snapshot import Snapshot
from fer_tune.training.steps.step import Step
from fer_tune.training.steps.stopwatch import Stopwatch


class WholeStep:
    """Gathers, augments and normalises a batch, moves the weights and their average, and counts the metrics.

    It is static: it reads nothing back, returns nothing, and the numbers that change from step to step (what is drawn,
    the learning rate, the average's decay) come to it in tensors.  So the same call runs as it is on a CPU and is
    captured once and replayed on a GPU, see `fer_tune.training.steps.captured`.

    Args:
        batches: the training split, or features of it where the model takes those.
        step: the optimiser step.
        average: of the weights, if there is one.
        meter: with room for an epoch.
        watch: its laps ``data`` and ``steps`` get the time.
    """

    def __init__(
        self,
        batches: Batches | FeatureBatches,
        step: Step,
        average: MovingAverage | None,
        meter: Meter,
        watch: Stopwatch,
    ) -> None:
        self._batches, self._step, self._average, self._meter, self._watch = batches, step, average, meter, watch

    def __call__(self, *drawn: Tensor | None) -> None:
        """Take the fields of `Drawn`."""
        with self._watch.lap("data"):
            images, labels, *targets = self._batches.made(Drawn(*drawn))  # type: ignore[arg-type]  # the first is there
        with self._watch.lap("steps"):
            logits, loss = self._step(images, *targets)
            if self._average is not None:
                self._average.update()
            self._meter.update(logits, labels, loss)

    def tensors(self) -> list[Tensor]:
        """What a step changes, but for the optimiser's state and random numbers."""
        averages = [] if self._average is None else list(self._average.module.state_dict().values())
        return [*self._step.tensors(), *averages, *self._meter.tensors()]

    def as_it_runs(self, optimizer: Optimizer, device: torch.device, world: int) -> Captured:
        """Return it captured where nothing is against that, see `reason_against`; else it runs as it is."""
        against = reason_against(device, world, optimizer)
        recorder = CudaGraphs(device) if against is None else None
        return Captured(
            self, self._watch, lambda: Snapshot(self.tensors(), optimizer, device), recorder, refusal=against or ""
        )
