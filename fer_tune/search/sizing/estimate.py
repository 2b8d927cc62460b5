"""What a search would take, from some timed steps: trials at a time, time, GPU hours, storage.

The estimate is made where it is asked for: it times training steps of each backbone on this machine's device, with the
data, the augmentation and the threads that a trial has, at the ends of the searched batch sizes and at each searched
image size.  Everything else is arithmetic, told beside its result.  Published configurations count as if they were
drawn from the space, though some have larger images; freeze depths that are searched, which make a step cheaper, are
not counted on.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fer_tune.config import TrialConfig, trial_config
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.layout import BEST
from fer_tune.search.cluster.hardware import Resources, nodes
from fer_tune.search.cluster.ray_session import ray_session
from fer_tune.search.options import SearchOptions
from fer_tune.search.running.plan import make_plan
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.training import checkpoint
from fer_tune.training.assembly import assemble, freeze_to
from fer_tune.training.background import AT_ONCE
from fer_tune.training.computing.plan import plan_for
from fer_tune.training.evaluation import Evaluation
from fer_tune.training.learning.optimisers import frozen_stages
from fer_tune.training.metrics import Meter
from fer_tune.training.steps.step import Step
from fer_tune.training.steps.stopwatch import Stopwatch
from fer_tune.training.steps.whole_step import WholeStep

if TYPE_CHECKING:
    from fer_tune.search.spaces.space import SearchSpace

_WARM_UP, _STEPS = 2, 8
_SECONDS = 10.0  # after which a probe that has three steps takes no more


@dataclass(frozen=True)
class Probe:
    """One setting that was timed; an epoch of a trial with it, on one worker."""

    batch_size: int
    image_size: int
    epoch_seconds: float  # training and validation
    best_bytes: int  # of the best weights
    checkpoint_bytes: int  # of what a trial goes on from, which holds the best weights too


@dataclass(frozen=True)
class BackboneCost:
    """What the trials of one backbone take, each alone on its resources."""

    backbone: str
    trials: int
    probes: tuple[Probe, ...]

    @property
    def epoch_seconds(self) -> float:
        """Mean over what was timed, as if the search drew from it evenly."""
        return statistics.fmean(probe.epoch_seconds for probe in self.probes)

    @property
    def best_bytes(self) -> int:
        """The largest of the weights that were written."""
        return max(probe.best_bytes for probe in self.probes)

    @property
    def checkpoint_bytes(self) -> int:
        """The largest checkpoint that was written."""
        return max(probe.checkpoint_bytes for probe in self.probes)


@dataclass(frozen=True)
class Estimate:
    """What a search would take; see :mod:`fer_tune.search.sizing.report` for how it is told."""

    options: SearchOptions
    resources: Resources
    cpus: float  # of the connected Ray, as it is now
    gpus: float
    device: str  # where the steps were timed
    images: tuple[int, int]  # of training and validation
    epochs: float  # expected per trial
    costs: tuple[BackboneCost, ...]
    told: tuple[str, ...] = ()  # what a search would say before it begins, see `Plan`

    @property
    def trials(self) -> int:
        """Of all backbones."""
        return sum(cost.trials for cost in self.costs)

    @property
    def comparable(self) -> bool:
        """Whether the steps were timed on what the trials will have."""
        return (self.device == "cuda") == (self.resources.gpus > 0)

    @property
    def trial_seconds(self) -> float:
        """Of all trials, one after the other."""
        return sum(cost.trials * self.epochs * cost.epoch_seconds for cost in self.costs)

    @property
    def seconds(self) -> float:
        """Wall time: trials side by side, but no less than one trial that runs all its epochs; at most the budget.

        Trials that share a GPU are taken to share its speed too.
        """
        share = self.resources.gpus if 0 < self.resources.gpus < 1 else 1.0
        side_by_side = self.trial_seconds / (min(self.resources.at_once, self.trials) * share)
        longest = self.options.epochs * max(cost.epoch_seconds for cost in self.costs)
        found = max(side_by_side, longest)
        return min(found, self.options.time_budget_seconds or math.inf)

    @property
    def gpu_hours(self) -> float:
        """GPU hours of all trials; a trial that has a share of a GPU is taken to need all of it, for its own time."""
        if not self.resources.gpus:
            return 0.0
        gpus = max(1.0, self.resources.gpus) * self.resources.workers
        hours = self.trial_seconds * gpus / 3600
        if self.options.time_budget_seconds is not None:
            in_use = self.resources.at_once * self.resources.gpus * self.resources.workers
            hours = min(hours, self.options.time_budget_seconds * in_use / 3600)
        return hours

    @property
    def kept_bytes(self) -> int:
        """Of what stays when the search has ended: the best weights of each trial."""
        return sum(cost.trials * cost.best_bytes for cost in self.costs)

    @property
    def running_bytes(self) -> int:
        """Of what is there besides while it runs, at most: the checkpoints of as many trials as run side by side.

        A trial that is over before a checkpoint is due has none.
        """
        at_once, every = min(self.resources.at_once, self.trials), self.options.checkpoint_every
        longest = self.options.epochs * max(cost.epoch_seconds for cost in self.costs)
        kept = min(AT_ONCE, self.options.epochs - 1, math.floor(longest / every) if every else AT_ONCE)
        return at_once * kept * max(cost.checkpoint_bytes for cost in self.costs)


def expected_epochs(options: SearchOptions) -> float:
    """Return the mean epochs of a trial under the scheduler; the most there can be where that is not known before.

    With ASHA every trial reaches the grace period, and one in ``reduction_factor`` of those at a rung goes on to the
    next (Li et al. 2020); with several brackets that is reckoned for each, with its share of the trials.  ASHA decides
    without waiting for the others, so early trials go further than that; with few trials the true mean is higher.

    >>> expected_epochs(SearchOptions(Path("d"), ["resnet18"], epochs=12, scheduler="none"))
    12.0
    >>> round(expected_epochs(SearchOptions(Path("d"), ["resnet18"], epochs=12, grace_period=2)), 3)  # 2 + 4/3 + 6/9
    4.0
    """
    if options.scheduler != "asha":
        return float(options.epochs)
    grace, factor = options.grace_period, options.reduction_factor
    shares = BackboneASHA(options.backbones, options.epochs, grace, factor, options.brackets).shares()
    halved = sum(share * _halved(options, grace * factor**index) for index, share in enumerate(shares))
    return options.random_share * options.epochs + (1 - options.random_share) * halved  # those are not stopped


def _halved(options: SearchOptions, first: int) -> float:
    """Return the mean epochs of a trial in a bracket whose first rung is at the epoch ``first``."""
    reached, share = min(first, options.epochs), 1.0
    total = float(reached)
    while reached < options.epochs:
        share /= options.reduction_factor
        following = min(reached * options.reduction_factor, options.epochs)
        total += share * (following - reached)
        reached = following
    return total


def estimate(options: SearchOptions) -> Estimate:
    """Check the options as a search does, time some steps, and work out what the search would take.

    Nothing is written but temporary files, and into the cache what was measured of the networks.

    Raises:
        UserError: what a search with these options would raise before its first trial.
    """
    plan = make_plan(options)
    data = plan.data
    with ray_session(dashboard=options.workers_per_trial > 1) as joined:
        resources = plan.resources(joined=joined)
        there = nodes(options.node_labels)
    device = torch.device("cuda" if resources.gpus and torch.cuda.is_available() else "cpu")
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(resources.cpus)))
    try:
        costs = tuple(
            BackboneCost(name, plan.trials[name], tuple(_probes(space, options, data, resources.workers, device)))
            for name, space in plan.spaces.items()
        )
    finally:
        torch.set_num_threads(threads)
    images = (len(data.train()), len(data.val()))
    return Estimate(
        options,
        resources,
        sum(node.get("CPU", 0.0) for node in there),
        sum(node.get("GPU", 0.0) for node in there),
        device.type,
        images,
        expected_epochs(options),
        costs,
        tuple(plan.told),
    )


def _probes(
    space: SearchSpace, options: SearchOptions, data: PreparedDataset, workers: int, device: torch.device
) -> Iterator[Probe]:
    """Time the ends of the searched batch sizes at each searched image size; other fields as the space fixes them."""
    fixed = {name: value for name, value in space.fixed.items() if name not in ("pretrained", "weights")}
    batch_sizes = _ends(space, "batch_size")
    image_sizes = sorted(_values(space, "image_size"), key=lambda size: size or data.card.height)
    for batch_size, image_size in product(batch_sizes, image_sizes):
        chosen = {"batch_size": batch_size, "image_size": image_size}
        given = {name: value for name, value in chosen.items() if value is not None}
        config = trial_config({**fixed, **given, "backbone": space.backbone, "epochs": options.epochs})
        yield _timed(config, data, workers, device)


def _values(space: SearchSpace, field: str) -> list[Any]:
    """Return what a trial may have in a field: all choices, the ends of a range, or the one fixed value."""
    if field in space.parameters:
        return list(dict.fromkeys(space.parameters[field].values))
    return [space.fixed.get(field, TrialConfig.model_fields[field].default)]


def _ends(space: SearchSpace, field: str) -> list[Any]:
    values = _values(space, field)
    return list(dict.fromkeys((max(values), min(values))))


def _timed(config: TrialConfig, data: PreparedDataset, workers: int, device: torch.device) -> Probe:
    """Time some steps of training and some of validation, as one worker of a trial does them."""
    built = assemble(config, data, device)
    model, training, validation = built.model, built.training, built.validation
    plan = plan_for(config, model, data.card, device, training.steps(config.batch_size), workers)
    plan.apply(model)
    frozen = freeze_to(model, frozen_stages(config, 1))
    model.train()
    for module in frozen:
        module.eval()
    step = Step(model, built.optimizer, built.objective, config, device, plan.dtype)

    watch, meter = Stopwatch(device), Meter(len(data.card.classes), device, len(training) + config.batch_size)
    run = WholeStep(training, step, None, meter, watch).as_it_runs(built.optimizer, device, workers)

    def steps() -> Iterator[None]:
        for epoch in count(1):
            meter.clear()
            for drawn in training.drawn(config.batch_size, config.augmentation, 0, epoch, 0, workers):
                run(*drawn)
                yield

    evaluation = Evaluation(model, validation, len(data.card.classes), config, device)

    def looks() -> Iterator[None]:
        while True:
            yield from evaluation.batches()

    step_seconds = _lap(steps(), device)
    run.release()
    looks_an_epoch = math.ceil(len(validation) / workers / evaluation.size)
    seconds = training.steps(config.batch_size) * step_seconds + looks_an_epoch * _lap(looks(), device)
    evaluation.release()
    state: dict[str, Any] = {"optimizer": built.optimizer.state_dict(), "history": []}
    if config.ema_decay:
        state["average"] = model.state_dict()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder), 1, model, state, best=model)
        sizes = {file.name: file.stat().st_size for file in Path(folder).iterdir()}
    size = config.image_size or data.card.height
    return Probe(config.batch_size, size, seconds, sizes[BEST], sum(sizes.values()))


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
