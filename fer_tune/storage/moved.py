"""Where the run is that Ray Tune restores: its state names the folder of the machine and the place where it began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fer_tune.run_folder import RunFolder

_moved: RunFolder | None = None


@contextmanager
def moved_to(run: RunFolder) -> Iterator[None]:
    """Say which run is resumed, while Tune's state is read and its trials go on."""
    global _moved
    before, _moved = _moved, run
    try:
        yield
    finally:
        _moved = before


def where_now(run: RunFolder) -> RunFolder:
    """Return the run that is being resumed, else ``run``, which was pickled."""
    return _moved or run
