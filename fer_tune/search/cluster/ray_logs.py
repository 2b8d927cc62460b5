"""What the daemons of a Ray that did not start have written down."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_WHY = re.compile(
    r"^(?:\S*: )?((?:ModuleNotFoundError|ImportError|OSError|PermissionError|MemoryError): .*)$"
    r"|(No space left on device|Too many open files|Cannot allocate memory|Resource temporarily unavailable|"
    r"Permission denied|Operation not permitted)"
)
"""The last line of a Python daemon that died, or the words of the operating system in any line."""

_TAIL = 1 << 20  # bytes of a log that are read: what a daemon died of stands at its end


def newest_session(folder: Path, process: int) -> Path | None:
    """Return the newest session of Ray in ``folder`` that the process with this id started; None without any."""
    return max(folder.glob(f"session_2*_{process}"), default=None)  # session_DATE_TIME_PROCESS, sorted by time


def cause_of_death(session: Path) -> tuple[str, Path] | None:
    """Return why a daemon of ``session`` died, in its own words, and the log that says so; None if none says."""
    for log in _logs(session):
        try:
            with log.open("rb") as opened:
                opened.seek(max(0, log.stat().st_size - _TAIL))
                lines = opened.read().decode(errors="replace").splitlines()
        except OSError:
            continue
        for line in reversed(lines):
            if found := _WHY.search(line):
                return found[1] or found[2], log
    return None


def _logs(session: Path) -> Iterable[Path]:
    """Return what daemons print, the raylet's first: it quotes the agents that it starts."""
    files = sorted((session / "logs").glob("*.err"))  # what they say on the way is in other files, and no fault
    return sorted(files, key=lambda file: not file.name.startswith("raylet"))
