"""A search as its run folder shows it, for `fer-tune watch`: neither Ray nor the searching process is asked."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from fer_tune.filing.tables import read_table
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import Aim
from fer_tune.run_folder import RunFolder
from fer_tune.search.watching.board import Best, Running, Snapshot, clock

_SILENT = 600.0  # seconds without a word, while trials run, after which a person should look


def read_snapshot(run: RunFolder) -> Snapshot:
    """Return the state of a running or an ended search from its tables.

    Raises:
        UserError: the run folder has no settings that can be read, or its table of trials was removed.
    """
    settings = run.settings()
    aim = settings.aim
    run.check_trials()
    trials = _rows(run.trials_file)
    last_epochs: dict[str, dict[str, Any]] = {}
    for row in _rows(run.epochs_file):
        if row["epoch"] >= last_epochs.get(row["trial_id"], {"epoch": 0})["epoch"]:
            last_epochs[row["trial_id"]] = row
    by_status: dict[str, list[dict[str, Any]]] = {}
    for row in trials:
        by_status.setdefault(row["status"], []).append(row)
    running, failed = by_status.get("running", []), by_status.get("failed", [])
    written = run.trials_file.stat().st_mtime if run.trials_file.is_file() else None
    quiet = 0.0 if written is None else time.time() - written
    until = datetime.now(UTC).timestamp() if running and quiet < _SILENT else written or time.time()
    ended = len(trials) - len(running)
    total = settings.total
    seconds = max(0.0, until - datetime.fromisoformat(settings.created).timestamp())
    spent = sum(row["seconds"] or 0.0 for row in trials if row["status"] != "running")
    return Snapshot(
        total=total,
        epochs=settings.epochs,
        completed=len(by_status.get("completed", [])),
        stopped=len(by_status.get("stopped", [])),
        failures=[f"{row['trial_id']}: {(row['error'] or 'no reason is known').splitlines()[0]}" for row in failed],
        running=[
            Running(
                row["trial_id"],
                row["backbone"],
                row["origin"],
                row["epochs"] or 0,
                last_epochs.get(row["trial_id"], {}).get(aim.column),
            )
            for row in running
        ],
        best=[best for backbone in settings.backbones if (best := _best(trials, backbone, aim))],
        seconds=seconds,
        left=spent / ended * (total - ended) / (settings.concurrent or max(1, len(running))) if ended else None,
        rate=sum(last_epochs.get(row["trial_id"], {}).get("images_per_second") or 0.0 for row in running),
        cpus=len(running) * settings.cpus_per_trial * settings.workers_per_trial,
        gpus=len(running) * settings.gpus_per_trial * settings.workers_per_trial,
        memory_mib=max(
            (last_epochs.get(row["trial_id"], {}).get("peak_memory_mib") or 0.0 for row in running), default=0.0
        ),
        notes=_notes(run, ended, total, running, quiet),
        aim=aim,
        too_large=len(by_status.get(TOO_LARGE, [])),
    )


def _notes(run: RunFolder, ended: int, total: int, running: list[dict[str, Any]], quiet: float) -> list[str]:
    if ended >= total:
        return [f"the search has ended; next: fer-tune refit {run.quoted}"]
    if quiet > _SILENT:
        again = f"fer-tune resume {run.quoted}"
        return [f"nothing written for {clock(quiet)}; if it was interrupted, go on with: {again}"]
    return [] if running or ended else ["no trial has reported yet"]


def _best(trials: list[dict[str, Any]], backbone: str, aim: Aim) -> Best | None:
    own = [row for row in trials if row["backbone"] == backbone and row[aim.column] is not None]
    if not own:
        return None
    best = max(own, key=lambda row: aim.key(row[aim.column]))
    return Best(backbone, best[aim.column], best["trial_id"], best["origin"], best["best_epoch"])


def _rows(file: Any) -> list[dict[str, Any]]:
    return read_table(file).to_pylist() if file.is_file() else []
