"""Searching fold by fold, on one Ray; going on where it ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.folds.record import FoldsRecord
from analysis.folds.run import FoldsRun
from analysis.result import Run
from fer_tune.data.prepared.folds import Fold, FoldsCard
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.door import GaveUpError, Interrupted
from fer_tune.errors import UserError
from fer_tune.filing.uris import as_uri, local_path
from fer_tune.search.cluster.ray_session import ray_session
from fer_tune.search.options import ResumeOptions, SearchOptions
from fer_tune.search.planning.plan import make_plan
from fer_tune.search.running.engine import NOTHING, Ended, resume, search
from fer_tune.search.running.extending import ended
from fer_tune.search.watching.output import output
from fer_tune.storage.runs import new_run

Options = Callable[..., SearchOptions]
"""From keywords of `fer_tune.search` to what a search is asked for."""

_OWN = ("data", "name", "storage", "output")


def search_folds(card: FoldsCard, given: dict[str, Any], options: Options) -> FoldsRun:
    """Search every fold of a dataset, one after the other; a time budget is shared out among them.

    Args:
        card: of the folds.
        given: keywords of `fer_tune.search`.
        options: reads them.

    Raises:
        UserError: before any compute, whatever is wrong.
        Interrupted: Ctrl-C; `resume_folds` goes on.
        GaveUpError: trial after trial failed for one reason.
    """
    if as_uri(given["storage"]):
        raise UserError(
            f"--storage {given['storage']}: a run over folds lies in a folder that every node sees; name one, or "
            "search each fold by itself"
        )
    asked = {name: value for name, value in given.items() if name not in _OWN and value is not None}
    data = local_path(given["data"]).expanduser().resolve()
    made = options(**asked, data=data / card.folds[0].name, storage=given["storage"], name=given["name"])
    _check(card, data)
    make_plan(made)
    stamp = datetime.now(UTC)
    name = given["name"] or f"{card.name}-{'-'.join(made.backbones[:2])}-folds-{stamp:%Y%m%d-%H%M%S}"
    if "/" in name or name in (".", ".."):
        raise UserError(f"--name {name}: a run's name is the name of a folder; take the slashes out")
    folder = new_run(given["storage"], name).path
    plain = json.loads(json.dumps(asked, default=str))
    record = FoldsRecord(created=stamp.isoformat(timespec="seconds"), data=str(data), dataset=card, asked=plain)
    folder.mkdir(parents=True)
    record.write(folder)
    return _go(FoldsRun(folder, record), options, NOTHING)


def resume_folds(run: FoldsRun, changes: ResumeOptions, options: Options) -> FoldsRun:
    """Go on with the folds that have not ended, and begin those that have not begun; with ``changes`` go on with all.

    Raises:
        UserError, Interrupted, GaveUpError: as `search_folds`.
    """
    if changes.data is not None:
        data = local_path(changes.data).expanduser().resolve()
        _check(run.record.dataset, data)
        run = FoldsRun(run.path, run.record.model_copy(update={"data": str(data)}))
        run.record.write(run.path)
    return _go(run, options, changes)


def _go(run: FoldsRun, options: Options, changes: ResumeOptions) -> FoldsRun:
    folds = run.record.dataset.folds
    data = Path(run.record.data)
    made = options(**run.record.asked, data=data, storage=run.path)
    reason = ""
    gpus = made.gpus_per_trial if changes.gpus_per_trial is None else changes.gpus_per_trial
    with ray_session(dashboard=made.workers_per_trial > 1, gpus=gpus):  # one for all folds
        for number, fold in enumerate(folds, 1):
            if output() == "text":
                print(f"{fold.name} of {len(folds)}: {fold.people} people held out, of {run.record.dataset.people}")
            own = _changed(made, changes) if changes != NOTHING else made
            own = replace(own, data=data / fold.name, name=run.folder_of(fold).name)
            if own.time_budget_seconds is not None:
                own = replace(own, time_budget_seconds=own.time_budget_seconds / len(folds))
            found = _one(run, fold, own, changes, len(folds))
            if found is None:
                continue
            reason = found.reason
            began = Run(found.run, found.run.settings(), found.reason)
            if found.interrupted:
                told = f"interrupted in fold {number} of {len(folds)}; nothing finished is lost"
                raise Interrupted(f"{told}. Go on with: fer-tune resume {run.quoted}", began)
            if found.gave_up:
                raise GaveUpError(f"{fold.name}: {found.reason}. Go on with: fer-tune resume {run.quoted}", began)
    return replace(run, reason=reason)


def _one(run: FoldsRun, fold: Fold, own: SearchOptions, changes: ResumeOptions, folds: int) -> Ended | None:
    """Search one fold, or go on with it; None where it has ended and nothing is to change."""
    if not run.begun(fold):
        return search(own)
    folder = run.folder_of(fold)
    earlier = run.runs[fold.name]
    if changes == NOTHING and ended(earlier.folder) >= earlier.settings.total:
        return None
    seconds = None if changes.time_budget_seconds is None else changes.time_budget_seconds / folds
    place = Path(run.record.data) / fold.name
    moved = None if str(place) == earlier.settings.dataset.path else place
    return resume(folder, replace(changes, data=moved, time_budget_seconds=seconds))


def _changed(made: SearchOptions, changes: ResumeOptions) -> SearchOptions:
    """Return what a fold that has not begun is asked for, with what a resume changes."""
    names = ["trials", "epochs", "time_budget_seconds", "checkpoint_every"]
    names += ["cpus_per_trial", "gpus_per_trial", "concurrent"]
    given = {name: value for name in names if (value := getattr(changes, name)) is not None}
    return replace(made, **given)


def _check(card: FoldsCard, data: Path) -> None:
    """Check that every fold is there, with the content on record.

    Raises:
        UserError: one is not.
    """
    for fold in card.folds:
        found = PreparedDataset.open(data / fold.name)
        if found.card.content_hash != fold.content_hash:
            raise UserError(f"{found.path}: its content is not that on record in folds.json; prepare the dataset again")
