"""What one trial of a setting takes, from some timed steps of it."""

from __future__ import annotations

import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fer_tune.config import TrialConfig
from fer_tune.data.batching.feature_batches import FeatureBatches
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.filing.layout import BEST
from fer_tune.training.assembly import assemble, freeze_to
from fer_tune.training.computing.plan import plan_for
from fer_tune.training.evaluation import Evaluation
from fer_tune.training.fixed_features import Source, forget, source_of
from fer_tune.training.keeping import checkpoint
from fer_tune.training.learning.optimisers import frozen_stages
from fer_tune.training.metrics import Meter
from fer_tune.training.steps.step import Step
from fer_tune.training.steps.stopwatch import Stopwatch
from fer_tune.training.steps.whole_step import WholeStep

_WARM_UP, _STEPS = 2, 8
_SECONDS = 10.0  # after which a probe that has three steps takes no more


@dataclass(frozen=True)
class Features:
    """What computing fixed features takes, see `fer_tune.training.fixed_features`."""

    view_seconds: float  # of one view of the training split
    views: int
    looks_seconds: float  # of the validation split
    lasting: bool  # whether the next trial of a process finds them

    def seconds(self, epochs: float) -> float:
        """Return what a trial of so many epochs takes for them."""
        return self.view_seconds * min(epochs, self.views) + self.looks_seconds


NO_FEATURES = Features(0.0, 1, 0.0, lasting=False)


@dataclass(frozen=True)
class Probe:
    """One setting that was timed; an epoch of a trial with it, on one worker."""

    batch_size: int
    image_size: int
    epoch_seconds: float  # training and validation, features apart
    best_bytes: int  # of the best weights
    checkpoint_bytes: int  # of what a trial goes on from, which holds the best weights too
    features: Features = NO_FEATURES


class Rehearsal:
    """What one worker of a trial computes, for who takes its time or its memory.

    Args:
        config: of the trial; where it would start from weights, random ones do.
        data: that it would read.
        workers: of the trial.
        device: of the worker.

    Attributes:
        built: see `assemble`.
        features: what fixed features take, which are others from then on, that no image gave.
        looks_an_epoch: batches of an evaluation.
    """

    def __init__(self, config: TrialConfig, data: PreparedDataset, workers: int, device: torch.device) -> None:
        self.built = assemble(config, data, device)
        model, training = self.built.model, self.built.training
        plan = plan_for(config, model, data.card, device, training.steps(config.batch_size), workers)
        plan.apply(model)
        source = source_of(config, self.built, data.card, plan.dtype, device, workers)
        frozen = freeze_to(model, frozen_stages(config, 1))
        source.model.train()
        for module in frozen:
            module.eval()
        step = Step(source.model, self.built.optimizer, self.built.objective, config, device, plan.dtype)
        classes = len(data.card.classes)
        self._config, self._workers, self._source = config, workers, source
        self._meter = Meter(classes, device, len(training) + config.batch_size)
        whole = WholeStep(source.training, step, None, self._meter, Stopwatch(device))
        self._run = whole.as_it_runs(self.built.optimizer, device, workers)
        self._evaluation = Evaluation(source.model, source.validation, classes, config, device)
        self.features = _features(source, device)
        self.looks_an_epoch = math.ceil(len(source.validation) / workers / self._evaluation.size)

    def steps(self) -> Iterator[None]:
        """Train on a batch with each ``next``, without an end."""
        config = self._config
        self._source.model.train()
        for epoch in itertools.count(1):
            self._meter.clear()
            drawn = self._source.training.drawn(config.batch_size, config.augmentation, 0, epoch, 0, self._workers)
            for one in drawn:
                self._run(*one)
                yield

    def looks(self) -> Iterator[None]:
        """Evaluate a batch with each ``next``, without an end; after it steps need a new rehearsal."""
        while True:
            yield from self._evaluation.batches()

    def release(self) -> None:
        """Give up what is captured, and what the process would keep for its next trial."""
        self._run.release()
        self._evaluation.release()
        forget()


def probe(config: TrialConfig, data: PreparedDataset, workers: int, device: torch.device) -> Probe:
    """Time some steps of training and some of validation, as one worker of a trial does them; see `Rehearsal`."""
    rehearsal = Rehearsal(config, data, workers, device)
    model, training = rehearsal.built.model, rehearsal.built.training
    seconds = training.steps(config.batch_size) * _lap(rehearsal.steps(), device)
    seconds += rehearsal.looks_an_epoch * _lap(rehearsal.looks(), device)
    rehearsal.release()
    state: dict[str, Any] = {"optimizer": rehearsal.built.optimizer.state_dict(), "history": []}
    if config.ema_decay:
        state["average"] = model.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), 1, model, state, best=model)
        sizes = {file.name: file.stat().st_size for file in Path(folder).iterdir()}
    size = config.image_size or data.card.height
    return Probe(config.batch_size, size, seconds, sizes[BEST], sum(sizes.values()), rehearsal.features)


def _features(source: Source, device: torch.device) -> Features:
    """Time some batches of those that would be computed once, and put others in their place."""
    seconds = []
    for batches, views in ((source.training, source.views), (source.validation, 1)):
        if not isinstance(batches, FeatureBatches):
            return NO_FEATURES
        lap = _lap(itertools.chain.from_iterable(batches.compute(0) for _ in itertools.count()), device)
        seconds.append(math.ceil(len(batches) / batches.at_once) * lap)
        batches.table.stand_in(views)
    return Features(seconds[0], source.views, seconds[1], source.lasting)


def _lap(work: Iterator[None], device: torch.device) -> float:
    """Return the median seconds of one ``next(work)``, after a warm-up."""
    laps: list[float] = []
    began = time.perf_counter()
    while len(laps) < _WARM_UP + _STEPS and (len(laps) <= _WARM_UP or time.perf_counter() - began < _SECONDS):
        lap = time.perf_counter()
        next(work)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        laps.append(time.perf_counter() - lap)
    return statistics.median(laps[_WARM_UP:])
