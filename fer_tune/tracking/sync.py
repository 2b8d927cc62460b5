"""Runs that were recorded offline: what a user has to know about them, and their upload."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.tracking.mode import key_problem
from fer_tune.tracking.session import UNFINISHED
from fer_tune.tracking.wandb_internals import OFFLINE_RUNS, ONLINE_RUNS, RECORDS, SYNCED


def sync_hint(run: RunFolder) -> str:
    """Return one line that says how to upload what the server does not have; empty where there is nothing left."""
    if not unsynced(run.path):
        return ""
    return f"W&B: recorded offline; upload with: fer-tune sync {shlex.quote(run.place)}"


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

    W&B's own program does it, one run at a time; it may be interrupted and repeated.

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
    command = [sys.executable, "-m", "wandb", "sync", "--yes", "--include-online", "-n", "1", *map(str, waiting)]
    # Its exit code is 0 as well when single runs fail: the marks tell.  It writes a log below the folder it runs in.
    subprocess.run(command, check=False, cwd=run_folder)
    left = unsynced(run_folder)
    return len(waiting) - len(left), left
