"""What a search would take, from some timed steps: trials at a time, time, GPU hours, storage.

The estimate is made where it is asked for: it times training steps of each backbone on this machine's device, with the
data, the augmentation and the threads that a trial has, at the ends of the searched batch sizes and at each searched
image size.  Everything else is arithmetic, told beside its result.  Published configurations count as if they were
drawn from the space, though some have larger images; freeze depths that are searched, which make a step cheaper, are
not counted on.  Where the head alone is trained on fixed features, these are timed apart, for a trial or a process
computes them once.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import torch

from fer_tune.config import TrialConfig, trial_config
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.search.cluster.hardware import Resources, nodes
from fer_tune.search.cluster.ray_session import ray_session
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning.plan import make_plan
from fer_tune.search.planning.sharing import NOT_ASKED, Sharing, chosen_sharing
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.training.keeping.background import AT_ONCE
from fer_tune.training.probing.probe import Probe, probe

if TYPE_CHECKING:
    from fer_tune.search.spaces.space import SearchSpace


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

    def trial_seconds(self, epochs: float, at_once: int) -> float:
        """Return what all trials take, of so many epochs each, in so many processes.

        Args:
            epochs: of a trial.
            at_once: trials side by side.  A process computes features that last for its trials once.
        """
        first = statistics.fmean(
            probe.features.seconds(epochs) * (min(at_once, self.trials) if probe.features.lasting else self.trials)
            for probe in self.probes
        )
        return self.trials * epochs * self.epoch_seconds + first

    def longest_seconds(self, epochs: int) -> float:
        """Return what one trial takes that trains so many epochs."""
        return epochs * self.epoch_seconds + statistics.fmean(one.features.seconds(epochs) for one in self.probes)

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
    sharing: Sharing = NOT_ASKED  # of a GPU by several trials, where that was measured

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
        return sum(cost.trial_seconds(self.epochs, self.resources.at_once) for cost in self.costs)

    @property
    def seconds(self) -> float:
        """Wall time: trials side by side, but no less than one trial that runs all its epochs; at most the budget.

        Trials that share a GPU are taken to share its speed too, and what they gain by it where that was measured.
        """
        share = self.resources.gpus * self.sharing.gain if 0 < self.resources.gpus < 1 else 1.0
        side_by_side = self.trial_seconds / (min(self.resources.at_once, self.trials) * share)
        longest = max(cost.longest_seconds(self.options.epochs) for cost in self.costs)
        found = max(side_by_side, longest)
        return min(found, self.options.time_budget_seconds or math.inf)

    @property
    def gpu_hours(self) -> float:
        """GPU hours of all trials; a trial that has a share of a GPU is taken to need all of it, for its own time.

        Less where trials were measured to gain by sharing.
        """
        if not self.resources.gpus:
            return 0.0
        gpus = max(1.0, self.resources.gpus) * self.resources.workers / self.sharing.gain
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
        longest = max(cost.longest_seconds(self.options.epochs) for cost in self.costs)
        kept = min(AT_ONCE, self.options.epochs - 1, math.floor(longest / every) if every else AT_ONCE)
        return at_once * kept * max(cost.checkpoint_bytes for cost in self.costs)


def expected_epochs(options: SearchOptions) -> float:
    """Return the mean epochs of a trial under the scheduler; the most there can be where that is not known before.

    With ASHA every trial reaches the grace period, and one in ``reduction_factor`` of those at a rung goes on to the
    next (Li et al. 2020); with several brackets that is reckoned for each, with its share of the trials.  ASHA decides
    without waiting for the others, so early trials go further than that; with few trials the true mean is higher.

    >>> expected_epochs(SearchOptions("d", ["resnet18"], epochs=12, scheduler="none"))
    12.0
    >>> round(expected_epochs(SearchOptions("d", ["resnet18"], epochs=12, grace_period=2)), 3)  # 2 + 4/3 + 6/9
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
    data, sharing = plan.data, chosen_sharing(plan)
    with ray_session(dashboard=options.workers_per_trial > 1) as joined:
        resources = plan.resources(joined=joined, share=sharing.gpus)
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
        sharing,
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
        yield probe(config, data, workers, device)


def _values(space: SearchSpace, field: str) -> list[Any]:
    """Return what a trial may have in a field: all choices, the ends of a range, or the one fixed value."""
    if field in space.parameters:
        return list(dict.fromkeys(space.parameters[field].values))
    return [space.fixed.get(field, TrialConfig.model_fields[field].default)]


def _ends(space: SearchSpace, field: str) -> list[Any]:
    values = _values(space, field)
    return list(dict.fromkeys((max(values), min(values))))
