"""Configurations that did well before, as the first trials of a new search."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import zip_longest
from pathlib import Path

from fer_tune.amounts import amount
from fer_tune.errors import UserError
from fer_tune.objectives import ACCURACY, Aim, aim_of
from fer_tune.run_folder import Candidate, RunFolder
from fer_tune.search.options import SearchOptions
from fer_tune.search.proposing.earlier_runs import ended_well, runs_in, settings_of
from fer_tune.search.proposing.samplers import blind_trials
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.storage.runs import open_run

_START = ("weights", "pretrained")


def starts(
    options: SearchOptions, spaces: dict[str, SearchSpace], informing: Collection[str] = ()
) -> dict[str, list[Candidate]]:
    """Return backbone -> what is tried before anything is drawn, besides what is published.

    These are the best of earlier runs, if any are named, and then what the space knows to be good, but not where
    the search is a grid or draws at random: both are asked for to see what they find by themselves.  Those of an
    earlier run start from the weights that this search names, by ``--weights`` or in the space, and where it names
    none, from those that they started from.

    Args:
        options: of the search.
        spaces: by backbone.
        informing: names of earlier runs that the sampler learns from: these may have other backbones.

    Raises:
        UserError: as :func:`best_of_all`; or several runs leave no trial to be drawn.
    """
    aim = aim_of(options.objectives)
    found = best_of_all(options.warm_start, list(spaces), options.warm_start_top, aim, informing)
    for backbone, entries in found.items():
        if len(entries) > max(options.trials - 1, options.warm_start_top):
            raise UserError(
                f"--warm-start: {amount(len(entries), 'configuration')} of {backbone}, the best "
                f"{options.warm_start_top} of each run, leave none of --trials {options.trials} to be drawn; give more "
                "trials, or fewer settings by --warm-start-top"
            )
    found = {name: [_from(spaces[name], entry) for entry in entries] for name, entries in found.items()}
    if options.known_good and not math.isinf(blind_trials(options.sampler)):
        found = {name: [*found.get(name, []), *space.fitting()] for name, space in spaces.items()}
    return {name: entries for name, entries in found.items() if entries}


def best_of_all(
    given: Sequence[Path | str], backbones: list[str], top: int, aim: Aim = ACCURACY, informing: Collection[str] = ()
) -> dict[str, list[Candidate]]:
    """Return the best configurations of several runs, as :func:`best_of` has them: first the best of each run, then
    the second of each, and so forth; settings that two runs share once.

    What counts is the rank within a run: accuracies on different datasets say nothing about each other.

    Args:
        given: run folders, URIs of runs, and folders of runs; runs in a folder that lack these backbones are passed
            over.
        backbones: of the new search.
        top: how many of each run and backbone.
        aim: what trials are judged by now.
        informing: names of runs that need not have these backbones.

    Raises:
        UserError: as :func:`best_of`, or a folder without a run of any of these backbones.
    """
    of_runs: list[dict[str, list[Candidate]]] = []
    for place in given:
        inside = runs_in(place)
        runs = [open_run(run) for run in inside] or [open_run(place)]
        of_use = any(run.name in informing for run in runs)
        if not inside and not of_use:
            of_runs.append(best_of(place, backbones, top, aim))
            continue
        found = [_best(run, backbones, top, aim) for run in runs]
        if not any(any(each.values()) for each in found) and not of_use:
            raise UserError(f"--warm-start {place}: no run in it ({len(inside)}) has a trial of {', '.join(backbones)}")
        of_runs += found
    return {name: _in_turn([each[name] for each in of_runs]) for name in backbones}


def _in_turn(lists: list[list[Candidate]]) -> list[Candidate]:
    found: list[Candidate] = []
    for each in (entry for rank in zip_longest(*lists) for entry in rank if entry is not None):
        if all(each.config != known.config for known in found):
            found.append(each)
    return found


def best_of(path: Path | str, backbones: list[str], top: int, aim: Aim = ACCURACY) -> dict[str, list[Candidate]]:
    """Return the ``top`` configurations of each backbone by what is searched for now, best first.

    The earlier run may be of another dataset, for another objective or have been interrupted; its failed trials are
    left out.

    Args:
        path: its run folder, or the URI of one.
        backbones: of the new search; those that the earlier one lacks get no candidates.
        top: how many of each.
        aim: what trials are judged by now; each counts with its best epoch by that.

    Raises:
        UserError: no such run, or it has a trial of none of these backbones.
    """
    run = open_run(path)
    found = _best(run, backbones, top, aim)
    if not any(found.values()):
        known = sorted({row["backbone"] for row, _ in ended_well(run, aim)}) or ["none"]
        raise UserError(
            f"--warm-start {path}: no trial of {', '.join(backbones)} to start from; it has trials of: "
            f"{', '.join(known)}"
        )
    return found


def _best(run: RunFolder, backbones: list[str], top: int, aim: Aim) -> dict[str, list[Candidate]]:
    rows = [row for row, _ in ended_well(run, aim)]
    return {
        backbone: [
            Candidate(name=f"{run.name}/{row['trial_id']}", config=settings_of(row))
            for row in [row for row in rows if row["backbone"] == backbone][:top]
        ]
        for backbone in backbones
    }


def _from(space: SearchSpace, entry: Candidate) -> Candidate:
    """Return ``entry`` without the weights that it started from, where the new search names its own."""
    if not space.fixed.get("weights"):
        return entry
    return entry.model_copy(update={"config": {k: v for k, v in entry.config.items() if k not in _START}})
