"""Runs that were recorded offline: what a user has to know about them, their upload, and the sweep of their search."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.tracking import record_file, service, sweep
from fer_tune.tracking.mode import key_problem, quieten
from fer_tune.tracking.session import UNFINISHED
from fer_tune.tracking.wandb_internals import (
    OFFLINE_RUNS,
    ONLINE_RUNS,
    RECORDS,
    SYNCED,
    RecordedRun,
    in_sweep,
    run_in,
    service_process,
)

_log = logging.getLogger(__name__)


def sync_hint(run: RunFolder) -> str:
    """Return one line that says how to upload what the server does not have; empty where there is nothing left."""
    if not unsynced(run.path):
        return ""
    return f"W&B: recorded offline; upload with: fer-tune sync {run.quoted}"


def unsynced(run_folder: Path) -> list[Path]:
    """Return the folders of runs that the server does not have whole, oldest first.

    These are the offline runs, and the online ones whose upload was cut short at the end of the session.  W&B puts a
    file ``*.wandb.synced`` beside the record of a run once the server has all of it.  A folder without a record is
    what a W&B that died as it started leaves: the run went on in another folder, here is nothing to upload.
    """
    offline = (run_folder / "wandb").glob(OFFLINE_RUNS)
    cut_short = (file.parent for file in (run_folder / "wandb").glob(f"{ONLINE_RUNS}/{UNFINISHED}"))
    found = sorted([*offline, *cut_short], key=lambda folder: folder.name.removeprefix("offline-"))
    return [folder for folder in found if any(folder.glob(RECORDS)) and not any(folder.glob(SYNCED))]


def upload(run_folder: Path) -> tuple[int, list[Path]]:
    """Upload what has not been uploaded, oldest first, so that a resumed run's parts arrive in order.

    W&B's own program does it, one run at a time; it may be interrupted and repeated.  The trials become runs of the
    sweep that their search is; it is made before, unless the server has it.

    Returns:
        How many runs were uploaded, and those that were not.

    Raises:
        UserError: no usable API key is configured.
    """
    run_folder = run_folder.absolute()
    waiting = unsynced(run_folder)
    if not waiting:
        return 0, []
    if problem := key_problem():
        raise UserError(f"fer-tune sync: {problem}; run `wandb login` or set WANDB_API_KEY")
    quieten()
    try:
        found = _in_a_sweep(run_folder, waiting)
        command = [sys.executable, "-m", "wandb", "sync", "--yes", "--include-online", "-n", "1", *map(str, waiting)]
        # Its exit code is 0 as well when single runs fail: the marks tell.  It writes a log below where it runs.
        subprocess.run(command, check=False, cwd=run_folder)
        left = unsynced(run_folder)
        if found is not None and len(left) < len(waiting):
            with suppress(Exception):  # how it is shown is worth no warning
                sweep.within(_SECONDS, lambda: sweep.mark(found, sweep.state_of(RunFolder(run_folder))))
    finally:
        service.end()
    return len(waiting) - len(left), left


_SECONDS = 60.0  # that the server has for an answer


def _in_a_sweep(run_folder: Path, waiting: list[Path]) -> sweep.Sweep | None:
    """Have the records of trials among the ``waiting`` runs name the sweep of their search; return it.

    Trials that the server has without a sweep, as where an older fer-tune or `wandb sync` uploaded them, are told to it
    as prior runs.  None, with a warning, where that cannot be: the runs are then uploaded as they are.
    """
    run = RunFolder(run_folder)
    trials = _trials(waiting)
    if not trials or not run.settings_file.is_file():
        return None
    first = next(iter(trials.values()))
    everywhere = [folder for kind in (OFFLINE_RUNS, ONLINE_RUNS) for folder in run.wandb.glob(kind)]
    there = _trials([folder for folder in everywhere if folder not in waiting])
    prior = sorted({one.run_id for one in there.values()} - {one.run_id for one in trials.values()})
    try:
        found = sweep.within(
            _SECONDS,
            lambda: sweep.taken(
                run_folder, run.settings(), entity=first.entity, project=first.project, prior_runs=prior
            ),
        )
    except Exception as error:  # W&B raises many kinds
        if isinstance(error, sweep.NoAnswerError):
            service.end(service_process())  # it would be asked for minutes yet
        told = (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(".")
        _log.warning("W&B: no sweep is made of this search (%s); its runs are uploaded all the same", told)
        return None
    for folder in trials:
        for file in folder.glob(RECORDS):
            try:
                record_file.change(file, lambda record: in_sweep(record, found.id))
            except (record_file.DamagedRecordError, OSError) as error:
                _log.warning("W&B: %s is not of the sweep: %s", file.name, error)
    return found


def _trials(folders: list[Path]) -> dict[Path, RecordedRun]:
    """Return the folders of runs that are trials, each with what its record says of it; damaged ones are left out."""
    found = {}
    for folder in folders:
        for file in folder.glob(RECORDS):
            with suppress(record_file.DamagedRecordError, OSError, ValueError):
                told = next((one for record in record_file.records(file.read_bytes()) if (one := run_in(record))), None)
                if told is not None and told.job_type == "trial":
                    found[folder] = told
    return found
