"""W&B runs of a search as a whole, and of what is trained or tested after it: refits and the held-out test."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Iterable
from typing import Any, Literal, get_args

from fer_tune.filing.tables import read_table
from fer_tune.objectives import Aim
from fer_tune.run_folder import RunFolder, SearchSettings, Status
from fer_tune.tracking.attached import Artifact, Attachments, to_search
from fer_tune.tracking.names import run_id as stable_id
from fer_tune.tracking.names import tags as clean_tags
from fer_tune.tracking.session import Session


def record_run(
    session: Session,
    *,
    job_type: Literal["refit", "test", "corruptions", "transfer"],
    name: str,
    group: str,
    config: dict[str, Any],
    history: Iterable[dict[str, Any]] = (),
    summary: dict[str, Any] | None = None,
    tags: list[str] | None = None,
    attachments: Attachments | None = None,
    run_id: str | None = None,
) -> None:
    """Have ``session`` record one finished run, in the group of its search; returns at once, and W&B never raises.

    Args:
        session: of the run folder; of several runs the same one, so that a W&B that fails is waited for once.
        job_type: what was done; the last two are further readings by a tested model.
        name: shown as the run's name.
        group: name of the search.
        config: its flat settings.
        history: a row per epoch, each with ``epoch``.
        summary: its results.
        tags: backbone, dataset, origin.
        attachments: its tables, charts and artifacts.
        run_id: a stable id, as `names.run_id` makes it, for a run that may be recorded again; else a new one.
    """
    run_id = run_id or f"{job_type}-{uuid.uuid4().hex[:16]}"
    session.start(run_id, name=name, group=group, job_type=job_type, config=config, tags=tags or [])
    for row in history:
        session.log(run_id, row)
    if attachments:
        session.attach(run_id, attachments)
    session.finish(run_id, summary or {})


def search_run_id(settings: SearchSettings) -> str:
    """Return the id of a search's own run: the same after a resume, another for a later search of the same name."""
    created = "".join(letter for letter in settings.created if letter.isdigit())[:14]
    return stable_id(created, settings.name, "search")


def record_search(session: Session, run: RunFolder) -> None:
    """Have ``session`` record a search as one run beside those of its trials, from its tables; again after a resume.

    Its history, over the number of trials in the order they began, is what each trial is judged by, the best so
    far, the epochs spent, and those that stopping early has saved.  Its summary counts trials by how they ended.  The
    leaderboard is a table, the resolved settings are an artifact; `attached.to_search` adds which settings mattered.
    """
    settings = run.settings()
    trials = read_table(run.trials_file).to_pylist()
    aim = settings.aim
    history = _search_history(trials, settings.epochs, aim)
    last = history[-1] if history else {"epochs_spent": 0, "epochs_saved": 0}
    summary: dict[str, Any] = {
        **{name: last[name] for name in (aim.best, "epochs_spent", "epochs_saved") if name in last},
        **{f"trials_{status}": sum(row["status"] == status for row in trials) for status in get_args(Status)},
        "trials_finished": sum(row["status"] != "running" for row in trials),
    }
    name = search_run_id(settings)
    config = {
        key: value
        for key, value in settings.model_dump(mode="json").items()
        if key not in ("spaces", "published", "warm_start", "informed_by", "versions", "hardware")
    }
    session.start(
        name,
        name=settings.name,
        group=settings.name,
        job_type="search",
        tags=clean_tags(*settings.backbones, settings.dataset.name),
        config=config,
        step="trials",
    )
    for row in history:
        session.log(name, row)
    session.attach(name, _search_attachments(run, settings, trials))
    session.finish(name, summary)


def _search_history(trials: list[dict[str, Any]], epochs: int, aim: Aim) -> list[dict[str, Any]]:
    """Return a row per trial; ``epochs`` is the most that one could take."""
    history: list[dict[str, Any]] = []
    best, spent, saved = math.nan, 0, 0
    for number, trial in enumerate(trials, 1):
        own, taken = trial[aim.column], trial["epochs"] or 0
        best, spent = own if own is not None and aim.better(own, best) else best, spent + taken
        saved += epochs - taken if trial["status"] == "stopped" else 0
        row: dict[str, Any] = {"trials": number, "epochs_spent": spent, "epochs_saved": saved}
        if not math.isnan(best):
            row[aim.best] = best
        history.append(row if own is None else row | {f"trial_{aim.column}": own})
    return history


def _search_attachments(run: RunFolder, settings: SearchSettings, trials: list[dict[str, Any]]) -> Attachments:
    ranked = sorted(
        (row for row in trials if row[settings.aim.column] is not None),
        key=lambda row: -settings.aim.key(row[settings.aim.column]),
    )
    shown = ("trial_id", "backbone", "origin", "status", "val_accuracy", "best_epoch", "epochs", "seconds")
    judged = [] if settings.aim.column in shown else [settings.aim.column]
    names = [*shown, *judged, *(name for name in (trials[0] if trials else ()) if name.startswith("config."))]
    resolved = Artifact(stable_id(settings.name, "settings"), "settings", {"search.yaml": run.settings_file})
    found = Attachments({"leaderboard": [{key: row[key] for key in names} for row in ranked]}, {}, [resolved])
    for more in to_search:
        try:
            found |= more(run.path)
        except Exception as error:  # what others add must not cost the leaderboard
            logging.getLogger(__name__).warning("W&B: not all of the search is recorded: %s", error)
    return found
