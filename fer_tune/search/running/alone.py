"""A run is searched by one program at a time: two would write over each other's journal, tables and snapshots."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder


@contextmanager
def alone(run: RunFolder) -> Iterator[None]:
    """Keep others from searching in the folder of ``run`` as long as the block lasts, and the process lives.

    The folder itself is locked, and not a file in it as `filelock` would: that stays, and copies and uploads of the run
    would carry it along.  A file system that knows no locks (some network drives) is used without.

    Raises:
        UserError: another program searches there.
    """
    folder = os.open(run.path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{run.name}: another fer-tune searches in this folder; `fer-tune watch {run.quoted}` shows how far it "
                "is. End that one by Ctrl-C, or wait for its end"
            ) from None
        except OSError:
            pass  # no locks here
        yield
    finally:
        os.close(folder)
