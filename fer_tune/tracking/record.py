"""W&B runs of a search as a whole, and of what is trained or tested after it: refits and the held-out test."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow.parquet as pq

from fer_tune.run_folder import RunFolder, Status
from fer_tune.tracking.mode import Mode
from fer_tune.tracking.session import Session
from fer_tune.tracking.wandb_callback import run_id as stable_id
from fer_tune.tracking.wandb_callback import tags as clean_tags


def record_run(
    run_folder: Path,
    *,
    mode: Mode,
    job_type: Literal["refit", "test"],
    name: str,
    group: str,
    config: dict[str, Any],
    history: Iterable[dict[str, Any]] = (),
    summary: dict[str, Any] | None = None,
    tags: list[str] | None = None,
    finish_timeout: float = 60.0,
) -> str | None:
    """Record one finished run under ``run_folder/wandb``, in the group of its search.

    Args:
        run_folder: the run folder.
        mode: what `resolve_mode` returned; disabled does nothing.
        job_type: refit or test.
        name: shown as the run's name.
        group: name of the search.
        config: its flat settings.
        history: a row per epoch, each with ``epoch``.
        summary: its results.
        tags: backbone, dataset, origin.
        finish_timeout: seconds to wait for uploads.

    Returns:
        One line on what went wrong, or None. W&B never raises from here.
    """
    session = Session(run_folder, mode, finish_timeout=finish_timeout)
    run_id = f"{job_type}-{uuid.uuid4().hex[:16]}"
    session.start(run_id, name=name, group=group, job_type=job_type, config=config, tags=tags or [])
    for row in history:
        session.log(run_id, row)
    session.finish(run_id, summary or {})
    session.close()
    return session.warning


def record_search(run: RunFolder, mode: Mode, *, finish_timeout: float = 60.0) -> str | None:
    """Record a search as one W&B run beside those of its trials, from its tables; again after a resume.

    Its history, over the number of trials in the order they began, is the best validation accuracy so far and the
    epochs spent.  Its summary counts trials by how they ended, and the epochs that stopped trials did not take.  The
    leaderboard is a table, the resolved settings are an artifact.

    Returns:
        One line on what went wrong, or None. W&B never raises from here.
    """
    settings = run.settings()
    trials = pq.read_table(run.trials_file).to_pylist()
    history: list[dict[str, Any]] = []
    best, spent = 0.0, 0
    for number, row in enumerate(trials, 1):
        best, spent = max(best, row["best_val_accuracy"] or 0.0), spent + (row["epochs"] or 0)
        history.append({"trials": number, "best_val_accuracy": best, "epochs_spent": spent})
    stopped = [row for row in trials if row["status"] == "stopped"]
    summary: dict[str, Any] = {
        "best_val_accuracy": best,
        "epochs_spent": spent,
        "epochs_saved": sum(settings.epochs - (row["epochs"] or 0) for row in stopped),
        **{f"trials_{status}": sum(row["status"] == status for row in trials) for status in get_args(Status)},
    }
    ranked = sorted(
        (row for row in trials if row["best_val_accuracy"] is not None), key=lambda row: -row["best_val_accuracy"]
    )
    shown = ("trial_id", "backbone", "origin", "status", "best_val_accuracy", "best_epoch", "epochs", "seconds")
    names = [*shown, *(name for name in (trials[0] if trials else ()) if name.startswith("config."))]
    session = Session(run.path, mode, finish_timeout=finish_timeout)
    name = stable_id(settings.name, "search")
    config = {
        key: value
        for key, value in settings.model_dump(mode="json").items()
        if key not in ("spaces", "published", "warm_start", "versions", "hardware")
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
    session.attach(
        name,
        {"leaderboard": [{key: row[key] for key in names} for row in ranked]},
        {stable_id(settings.name, "settings"): [run.settings_file]},
    )
    session.finish(name, summary)
    session.close()
    return session.warning
