"""How many suggestions a search takes where the number of trials side by side follows the cluster.

With ``max_concurrent_trials`` left open Tune keeps one trial pending, and asks for the next when that one's process
has started (``_get_max_pending_trials``, Ray 2.60): trials start one after the other.  With a larger bound as many
trials are pending throughout, each with settings that were drawn before they had to be and have learnt less.  So Tune
is given no bound here, and its searcher asks a `Room` at each step.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from fer_tune.search.cluster.hardware import NO_LABELS, nodes, places, unused_places

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

MOST_WAITING = 64
"""Trials that wait for a place at most, where nothing is lost by their waiting."""

_SHARE = 8  # one waits for so many that run: an eighth more suggestions are open than with a fixed number of trials
_EVERY = 1.0  # seconds between two looks at the cluster


class Room(Callback):
    """Allows a suggestion for each free place, and some for trials that wait for one.

    One trial at least waits while there are more to come, so a place that becomes free is taken at once by a process
    that is there already, and an autoscaler sees that more would be used.

    It must be pickled together with the searcher that asks it.

    Args:
        cpus: of a trial, which has one worker.
        gpus: of a trial.
        labels: of the nodes that trials may use.
    """

    def __init__(self, cpus: float, gpus: float, labels: Mapping[str, str] = NO_LABELS) -> None:
        self._cpus, self._gpus, self._labels = cpus, gpus, dict(labels)
        self._waiting = self._running = 0
        self._places = self._unused = 0
        self._looked = -_EVERY

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_looked": -_EVERY}  # the clock of another process starts elsewhere

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Count the trials; Tune asks the searcher after this."""
        counts = Counter(trial.status for trial in trials)
        self._waiting, self._running = counts["PENDING"], counts["RUNNING"]

    def take(self, *, blind: bool) -> bool:
        """Return whether to suggest a trial now, and count it as waiting if so.

        Args:
            blind: the trial would learn nothing from others, whenever it is drawn: nothing is lost by its waiting.
        """
        ahead = MOST_WAITING if blind else max(1, self._running // _SHARE)
        if self._waiting >= ahead + self._free():
            return False
        self._waiting += 1
        return True

    def _free(self) -> int:
        """Return the places of trials that do not run: no more than are unused, since others may use the cluster.

        Ray learns with some delay what is unused, so running trials are counted too.
        """
        if time.monotonic() - self._looked >= _EVERY:
            self._looked = time.monotonic()
            self._places = places(nodes(self._labels), self._cpus, self._gpus)
            self._unused = unused_places(self._cpus, self._gpus, self._labels)
        return max(0, min(self._unused, self._places - self._running))
