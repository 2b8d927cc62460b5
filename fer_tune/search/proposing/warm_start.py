"""Configurations that did well before, as the first trials of a new search."""

from __future__ import annotations

import math
from pathlib import Path

from fer_tune.errors import UserError
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import ACCURACY, Aim, aim_of
from fer_tune.run_folder import Candidate, RunFolder
from fer_tune.search.options import SearchOptions
from fer_tune.search.proposing.samplers import blind_trials
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.storage.runs import open_run
from fer_tune.tables import read_table

_NOT_SETTINGS = ("backbone", "epochs", "seed")  # the new search's own
_START = ("weights", "pretrained")


def starts(options: SearchOptions, spaces: dict[str, SearchSpace]) -> dict[str, list[Candidate]]:
    """Return backbone -> what is tried before anything is drawn, besides what is published.

    These are the best of an earlier run, if one is named, and then what the space knows to be good, but not where
    the search is a grid or draws at random: both are asked for to see what they find by themselves.  Those of an
    earlier run start from the weights that this search names, by ``--weights`` or in the space, and where it names
    none, from those that they started from.

    Raises:
        UserError: as :func:`best_of`.
    """
    found = (
        best_of(options.warm_start, list(spaces), options.warm_start_top, aim_of(options.objectives))
        if options.warm_start
        else {}
    )
    found = {name: [_from(spaces[name], entry) for entry in entries] for name, entries in found.items()}
    if options.known_good and not math.isinf(blind_trials(options.sampler)):
        found = {name: [*found.get(name, []), *space.fitting()] for name, space in spaces.items()}
    return {name: entries for name, entries in found.items() if entries}


def best_of(path: Path, backbones: list[str], top: int, aim: Aim = ACCURACY) -> dict[str, list[Candidate]]:
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
    rows = read_table(run.trials_file).to_pylist() if run.trials_file.is_file() else []
    best = {row["trial_id"]: aim.key(row[aim.column]) for row in rows} | _best_epochs(run, aim)
    rows = [row for row in rows if row["status"] not in ("failed", TOO_LARGE) and math.isfinite(best[row["trial_id"]])]
    rows.sort(key=lambda row: best[row["trial_id"]], reverse=True)
    found = {}
    for backbone in backbones:
        chosen = [row for row in rows if row["backbone"] == backbone][:top]
        found[backbone] = [Candidate(name=f"{run.name}/{row['trial_id']}", config=_settings(row)) for row in chosen]
    if not any(found.values()):
        known = sorted({row["backbone"] for row in rows}) or ["none"]
        raise UserError(
            f"--warm-start {path}: no trial of {', '.join(backbones)} to start from; it has trials of: "
            f"{', '.join(known)}"
        )
    return found


def _best_epochs(run: RunFolder, aim: Aim) -> dict[str, float]:
    """Return trial id -> the value of its best epoch, more is better."""
    best: dict[str, float] = {}
    if run.epochs_file.is_file():
        for row in read_table(run.epochs_file).to_pylist():
            best[row["trial_id"]] = max(best.get(row["trial_id"], -math.inf), aim.key(row[aim.column]))
    return best


def _from(space: SearchSpace, entry: Candidate) -> Candidate:
    """Return ``entry`` without the weights that it started from, where the new search names its own."""
    if not space.fixed.get("weights"):
        return entry
    return entry.model_copy(update={"config": {k: v for k, v in entry.config.items() if k not in _START}})


def _settings(row: dict[str, object]) -> dict[str, object]:
    settings = {name.removeprefix("config."): value for name, value in row.items() if name.startswith("config.")}
    # None stands for a setting that this trial did not have, and for the default of those that may be None.
    return {name: value for name, value in settings.items() if value is not None and name not in _NOT_SETTINGS}
