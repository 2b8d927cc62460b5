"""Old checkpoints leave an object store in the background, so that a search goes on meanwhile.

Ray Tune removes them in its one loop, which stands still for the seven requests that each takes (Ray 2.60, Arrow 26):
with a store that answers after 30 ms it has time for five epochs a second, however many trials run.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable
from contextlib import suppress

_SIDE_BY_SIDE = 16
_CHECKPOINT = re.compile(r"/(checkpoint_\d{6}|state)/?$")  # as Ray names them, and all of a trial that ended

Call = Callable[[], None]


class Removals:
    """Removals that nobody waits for, between `begin` and `end`; safe to use from several threads."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._users = self._threads = self._left = self._failed = 0

    def take(self, path: str) -> bool:
        """Tell whether ``path`` is one to `add`: a checkpoint, in a process that has begun."""
        return self._users > 0 and _CHECKPOINT.search(path) is not None

    def begin(self) -> None:
        """Take removals from now on; every call needs an `end`."""
        with self._changed:
            self._users += 1

    def add(self, call: Call) -> None:
        """Have ``call`` remove something soon; one that raises is not tried again, and counted by `end`."""
        with self._changed:
            self._left += 1
            more = self._threads < min(_SIDE_BY_SIDE, self._left)
            self._threads += more
        if more:
            threading.Thread(target=self._work, name="fer-tune-removal", daemon=True).start()
        self._queue.put(call)

    def end(self, seconds: float) -> int:
        """Wait at most ``seconds`` for the removals that are left; return how many are there even then."""
        with self._changed:
            self._changed.wait_for(lambda: self._left == 0, seconds)
            self._users -= 1
            if self._users == 0:
                for _ in range(self._threads):
                    self._queue.put(None)
                self._threads = 0
            there, self._failed = self._left + self._failed, 0
            return there

    def _work(self) -> None:
        while (call := self._queue.get()) is not None:
            done = False
            with suppress(Exception):  # away for too long, or no right to delete: a search goes on all the same
                call()
                done = True
            with self._changed:
                self._left -= 1
                self._failed += not done
                self._changed.notify_all()


removals = Removals()
"""Of this process."""
