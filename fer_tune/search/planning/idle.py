"""What of a search's options will do nothing, in words: taken without one, it would be believed to work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fer_tune.amounts import amount
from fer_tune.objectives import Aim, aim_of
from fer_tune.run_folder import Candidate
from fer_tune.search.options import SearchOptions
from fer_tune.search.proposing.samplers import blind_trials
from fer_tune.search.spaces.space import SearchSpace

_WAITS = {
    "early_stopping": "ends no trial: it waits longer than a trial lasts",
    "unfreeze_epoch": "unfreezes nothing: no trial comes as far",
    "warmup_epochs": "is all of a trial: the learning rate only rises",
}
"""Settings in epochs -> what one does not do that is no shorter than a trial."""


def idle(
    options: SearchOptions,
    spaces: Mapping[str, SearchSpace],
    first: Mapping[str, Sequence[Candidate]],
    trials: Mapping[str, int],
    classes: int,
) -> list[str]:
    """Return a sentence for each option that cannot do what it is for, or that decides less than it seems to.

    Args:
        options: what a user asks for.
        spaces: by backbone.
        first: backbone -> what is tried before anything is drawn.
        trials: backbone -> its number of trials.
        classes: of the dataset.
    """
    found = [*_drawn(options, first, trials), *_epochs(options, spaces)]
    total = sum(trials.values())
    if options.concurrent is not None and options.concurrent > total:
        there = amount(total, "trial")
        found.append(f"--concurrent {options.concurrent}: the search has {there} in all; no more run side by side")
    if options.warm_start_top != SearchOptions.warm_start_top and not options.warm_start:
        found.append(f"--warm-start-top {options.warm_start_top}: no run is named by --warm-start, so it has no effect")
    aim = aim_of(options.objectives)
    if options.target is not None and aim.reaches(_guessed(aim, classes), options.target):
        guessed = f"guessing among {classes} classes has {aim.text(_guessed(aim, classes))}"
        found.append(f"--target {options.target:g}: {guessed}, so that the first trial may end the search")
    return found


def _drawn(options: SearchOptions, first: Mapping[str, Sequence[Candidate]], trials: Mapping[str, int]) -> list[str]:
    if options.sampler == "grid":
        return []
    given = [name for name, count in trials.items() if len(first.get(name, ())) >= count]
    found = []
    if given:
        left_out = sum(len(first[name]) - trials[name] for name in given)
        more = f", and {left_out} more that are not tried" if left_out else ""
        found.append(
            f"{', '.join(given)}: all of --trials {options.trials} are given (published, known good, --warm-start)"
            f"{more}; --sampler {options.sampler} draws none. Give more, or --no-published, --no-known-good"
        )
    blind = blind_trials(options.sampler)
    if math.isfinite(blind) and options.trials <= blind and len(given) < len(trials):
        found.append(
            f"--sampler {options.sampler}: what it draws of --trials {options.trials} is random; it learns once "
            f"{blind:.0f} trials of a backbone have ended"
        )
    return found


def _epochs(options: SearchOptions, spaces: Mapping[str, SearchSpace]) -> list[str]:
    found = []
    if options.scheduler != "none" and options.grace_period >= options.epochs:
        found.append(
            f"--scheduler {options.scheduler}: stops no trial, since --grace-period {options.grace_period} is not "
            f"shorter than --epochs {options.epochs}"
        )
    for field, told in _WAITS.items():
        for name, space in spaces.items():
            values = space.parameters[field].values if field in space.parameters else [space.fixed.get(field)]
            epochs = min((value for value in values if value is not None), default=None)
            if epochs is not None and epochs >= options.epochs + (field == "unfreeze_epoch"):
                found.append(f"{name}: {field} {epochs:g} {told}, with --epochs {options.epochs}")
    return found


def _guessed(aim: Aim, classes: int) -> float:
    """Return what a model reaches that gives each class the same probability."""
    return 1 / classes if aim.share else math.log(classes)
