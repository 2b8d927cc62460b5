"""What a scheduler knows, carried through a resume.

Tune does not save its scheduler.  After a restore the rungs of stock ASHA are empty, late results of resumed trials
fill the lowest ones, and nearly every new trial is stopped at its first epoch (measured with Ray 2.60).  Here a
callback, whose state Tune does save, carries what a scheduler knows.
"""

from __future__ import annotations

from typing import Any, Protocol

from ray.tune import Callback


class Resumable(Protocol):
    """A scheduler that can hand over what it knows."""

    def known(self) -> dict[str, Any]:
        """Return what it has learnt, as plain data."""

    def take_up(self, known: dict[str, Any]) -> None:
        """Go on from what :meth:`known` returned."""


class KeepScheduler(Callback):
    """Carries what a scheduler knows through Tune's snapshots; it must be pickled together with that scheduler."""

    def __init__(self, scheduler: Resumable) -> None:
        self._scheduler = scheduler

    def get_state(self) -> dict[str, Any]:
        """What Tune saves."""
        return self._scheduler.known()

    def set_state(self, state: dict[str, Any]) -> None:
        """What Tune restores."""
        self._scheduler.take_up(state)
