"""What is done while a store cannot be reached: try again for a long time, and say so once.

Faults of a few seconds are Arrow's to bridge, see `filesystem_of`; what comes here has failed several times. Arrow's
own tries cannot do what is done here: it says nothing while it waits, and nobody can hurry it.

A store that is away costs time and no result: checkpoints wait where they are, tables stay in the local copy.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

FINAL = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""Answers of a store that was reached; what it refuses now it refuses the next time."""

PATIENCE = 1800.0
"""Seconds that a call is tried again before its error is raised."""

_IN_A_HURRY = 10.0  # seconds, once somebody has asked for the end
_LONGEST = 15.0  # seconds between two tries


class Outage:
    """The state of the store as this process sees it; safe to use from several threads.

    Args:
        say: prints the one warning, and the one line when the store is back.
        patience: seconds that a call is tried again.
        first: seconds before the second try; each further one waits twice as long, `_LONGEST` at most.
    """

    def __init__(
        self, say: Callable[[str], None] | None = None, patience: float = PATIENCE, first: float = 0.5
    ) -> None:
        self._say = say or _to_stderr
        self._patience, self._first = patience, first
        self._since: float | None = None
        self._deadline: float | None = None
        self._hurried = threading.Event()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """How long the store has been away; 0.0 where the last call reached it."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def failed(self, uri: str, error: BaseException) -> None:
        """Note a failed call; the first since the store was last reached is told."""
        with self._lock:
            if self._since is not None:
                return
            self._since = time.monotonic()
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        self._say(f"{uri}: cannot be reached ({reason}); tried again until it can, nothing is lost meanwhile")

    def reached(self, uri: str) -> None:
        """Note a call that went well."""
        if self._since is None:
            return
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            self._say(f"{uri}: reached again after {time.monotonic() - since:.0f} s")

    def hurry(self) -> None:
        """Have all calls give up soon: somebody asked for the end."""
        if self._deadline is None:
            self._deadline = time.monotonic() + _IN_A_HURRY
            self._hurried.set()

    @property
    def hurried(self) -> bool:
        """Whether somebody has asked for the end."""
        return self._hurried.is_set()

    def calm(self) -> None:
        """Take `hurry` back, for what begins now."""
        self._deadline = None
        self._hurried.clear()

    def once(self, uri: str, call: Callable[[], object]) -> None:
        """Do ``call``, which there will be another chance for, and note whether it reached the store."""
        try:
            call()
        except OSError as error:
            self.failed(uri, error)
        else:
            self.reached(uri)

    def patiently(self, uri: str, call: Callable[[], Result], seconds: float | None = None) -> Result:
        """Return what ``call`` does, which is tried until it reaches the store.

        Args:
            uri: of what it reaches.
            call: what is tried.
            seconds: how long, whoever is in a hurry; by default for the patience of this object, or until `hurry`.

        Raises:
            OSError: the store's answer (`FINAL`), or it was not reached for too long.
        """
        end, delay = time.monotonic() + (self._patience if seconds is None else seconds), self._first
        while True:
            try:
                result = call()
            except FINAL:
                self.reached(uri)
                raise
            except OSError as error:
                self.failed(uri, error)
                hurried = self._deadline if seconds is None else end
                if time.monotonic() >= min(end, hurried or end):
                    raise
            else:
                self.reached(uri)
                return result
            if hurried is None:
                self._hurried.wait(delay)
            else:
                time.sleep(min(delay, 1.0))
            delay = min(2 * delay, _LONGEST)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


outage = Outage()
"""Of this process."""
