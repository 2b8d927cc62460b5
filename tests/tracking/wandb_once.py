"""Record one thing in a session of its own; what it returns is the session's warning."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from fer_tune.run_folder import RunFolder
from fer_tune.tracking.mode import Mode
from fer_tune.tracking.record import record_run, record_search
from fer_tune.tracking.session import Session


def record_one(folder: Path, mode: Mode = "offline", **words: Any) -> str | None:
    with closing(Session(folder, mode)) as session:
        record_run(session, **words)
    return session.warning


def record_the_search(run: RunFolder) -> str | None:
    with closing(Session(run.path, "offline")) as session:
        record_search(session, run)
    return session.warning
