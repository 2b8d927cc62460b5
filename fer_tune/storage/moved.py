"""Where the run is that Ray Tune restores: its state names the folder of the machine and the place where it began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_moved: Path | None = None


@contextmanager
def moved_to(folder: Path) -> Iterator[None]:
    """Say which run folder is resumed, while Tune's state is read and its trials go on."""
    global _moved
    before, _moved = _moved, folder
    try:
        yield
    finally:
        _moved = before


def where_now(folder: Path) -> Path:
    """Return the folder of the run that is being resumed, else ``folder``, which was pickled."""
    return _moved or folder
