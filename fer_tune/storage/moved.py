"""Where the run is that Ray Tune restores: its state names the folder of the machine and the place where it began."""

from __future__ import annotations

from pathlib import Path

_moved: Path | None = None


def moved_to(folder: Path) -> None:
    """Say which run folder is resumed, before Tune's state is read."""
    global _moved
    _moved = folder


def where_now(folder: Path) -> Path:
    """Return the folder of the run that is resumed by this process, else ``folder``, which was pickled."""
    return _moved or folder
