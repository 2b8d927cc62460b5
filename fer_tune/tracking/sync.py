"""What a user has to know about runs that were recorded offline."""

from __future__ import annotations

import shlex
from pathlib import Path


def sync_hint(run_folder: Path | str) -> str:
    """Return one line that says how to upload the runs recorded offline; empty where there are none."""
    folder = Path(run_folder) / "wandb"
    if not any(folder.glob("offline-run-*")):
        return ""
    return f"W&B: recorded offline; upload with: wandb sync {shlex.quote(str(folder))}/offline-run-*"
