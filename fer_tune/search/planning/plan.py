"""What a search will do: looked up and checked before anything is started, written or computed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import optuna

from fer_tune.amounts import amount
from fer_tune.data.batching.suiting import check_suits
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.models import check_image_size, check_square
from fer_tune.objectives import aim_of
from fer_tune.run_folder import Candidate, EarlierSearch, Published, tried_first
from fer_tune.search.cluster.hardware import Resources, nodes
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning.idle import idle
from fer_tune.search.planning.start_weights import check_candidates, check_weights, starting_from
from fer_tune.search.proposing.informing import told_to_sampler
from fer_tune.search.proposing.objectives import check_objectives, check_target
from fer_tune.search.proposing.samplers import check_sampler
from fer_tune.search.proposing.searcher import planned_trials
from fer_tune.search.proposing.warm_start import starts
from fer_tune.search.spaces.changes import with_changes
from fer_tune.search.spaces.loading import load_space
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.search.stopping_early.schedulers import check_scheduler


@dataclass(frozen=True)
class Plan:
    """A checked search, of which an engine makes trials and an estimate makes figures."""

    options: SearchOptions
    data: PreparedDataset
    spaces: dict[str, SearchSpace]  # by backbone
    published: dict[str, list[Published]]  # backbone -> configurations of papers
    warm_start: dict[str, list[Candidate]]  # backbone -> what was good before
    informed_by: list[EarlierSearch]  # what the sampler learns from beside its own trials
    told: list[str]  # in words: what follows from settings beside the spaces, which weights fit, what does nothing

    @cached_property
    def trials(self) -> dict[str, int]:
        """Backbone -> its number of trials."""
        first = tried_first(self.published, self.warm_start)
        return planned_trials(self.spaces, first, self.options.trials, self.options.sampler)

    def resources(self, *, joined: bool, share: float | None = None) -> Resources:
        """Return what a trial gets of the connected Ray, which was ``joined`` or started here.

        Args:
            joined: whether it was there before.
            share: of a GPU, for each trial, where the user leaves that open and Ray has one.

        Raises:
            UserError: more is asked for than there is, where that will not change.
        """
        gpus = self.options.gpus_per_trial
        if gpus is None and any(node.get("GPU") for node in nodes(self.options.node_labels)):
            gpus = share
        return Resources.choose(
            self.options.cpus_per_trial,
            gpus,
            self.options.workers_per_trial,
            self.options.concurrent,
            joined=joined,
            labels=self.options.node_labels,
        )


def make_plan(options: SearchOptions) -> Plan:
    """Look up and check all that ``options`` name, but for what the connected Ray decides.

    Raises:
        UserError: the dataset, a space, the weights or an earlier run is not there or cannot be used as asked.
    """
    data = PreparedDataset.open(options.data)
    data.verify()
    spaces, told = chosen_spaces(options)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    check_images(spaces, data.card)
    told += check_weights(spaces, data, options.published)
    published = {
        name: space.published_for(data.card.name) if options.published else [] for name, space in spaces.items()
    }
    informed_by = told_to_sampler(options, spaces)
    first = starts(options, spaces, {search.run for search in informed_by})
    if options.warm_start:
        told += [f"{name}: tried first: {', '.join(each.name for each in entries)}" for name, entries in first.items()]
    if informed_by:
        known = ", ".join(
            f"{search.run} ({amount(len(search.trials), 'trial')} of {search.backbone})" for search in informed_by
        )
        told.append(f"the sampler learns from: {known}")
    check_candidates(first, spaces, data)
    check_asked(spaces, first, data.card)
    plan = Plan(options, data, spaces, published, first, informed_by, told)
    told += idle(options, spaces, tried_first(published, first), plan.trials, len(data.card.classes))
    return plan


def check_images(spaces: dict[str, SearchSpace], card: DatasetCard) -> None:
    """Check that networks can take the images of the dataset as they are, where no size is asked for.

    The sizes that a space names are checked where it is read.

    Raises:
        UserError: one cannot.
    """
    for backbone, space in spaces.items():
        searched = space.parameters.get("image_size")
        if None in (searched.values if searched else (space.fixed.get("image_size"),)):
            check_square(backbone, card.height, card.width)
            check_image_size(backbone, card.height)


def check_asked(spaces: dict[str, SearchSpace], first: dict[str, list[Candidate]], card: DatasetCard) -> None:
    """Check that the dataset has what a space, or what is tried first, asks of it.

    Raises:
        UserError: see :func:`fer_tune.data.batching.suiting.check_suits`.
    """
    for backbone, space in spaces.items():
        tried = [space.settings(entry.config) for entry in first.get(backbone, ())]
        for settings in (space.fixed, *tried):
            check_suits(settings, card, f"{backbone}: ")
        for name in ("votes", "transforms"):
            for value in space.parameters[name].values if name in space.parameters else ():
                check_suits({name: value}, card, f"{backbone}: ")


def chosen_spaces(options: SearchOptions) -> tuple[dict[str, SearchSpace], list[str]]:
    """Return the search space of each backbone: the user's file, or the shipped one, with what is asked for beside it.

    Returns:
        The spaces by backbone, and what follows from the settings given beside them, in words.

    Raises:
        UserError: a space is not there or faulty, or is that of a backbone not searched; a setting given beside it
            does not fit, see :mod:`fer_tune.search.spaces.changes`; the sampler, the scheduler or the objectives cannot
            work as asked, see :mod:`fer_tune.search.proposing.samplers`; or the weights, see
            :func:`fer_tune.search.planning.start_weights.starting_from`.
    """
    check_scheduler(options)
    from_files = {space.backbone: space for space in (load_space(file) for file in options.spaces)}
    for backbone in from_files:
        if backbone not in options.backbones:
            raise UserError(
                f"--space: the file for {backbone} is of no use, since --backbone names {', '.join(options.backbones)}"
            )
    spaces = {name: from_files.get(name) or load_space(name) for name in dict.fromkeys(options.backbones)}
    spaces, told = with_changes(spaces, options.changes)
    for change in options.changes:
        if options.weights and change.field in ("pretrained", "weights"):
            raise UserError(f"{change.said}: --weights says where trials start; leave one of the two out")
    check_sampler(options, spaces)
    check_objectives(options.objectives, options.sampler, spaces)
    check_target(options.target, aim_of(options.objectives))
    return starting_from(spaces, options.weights), told
