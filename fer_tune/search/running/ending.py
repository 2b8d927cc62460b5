"""What ends a search before its last trial: a person, a spent time budget, a reached target, failures all alike."""

from __future__ import annotations

import errno
import math
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from fer_tune.ending_signals import ending_signals
from fer_tune.errors import UserError
from fer_tune.objectives import ACCURACY, Aim
from fer_tune.ray_internals import STOP_SIGNAL, tune_listens
from fer_tune.search.watching.recorder import why_it_died
from fer_tune.storage.outage import outage

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

ALIKE = 5
"""Trials that fail for one reason, at least, before the search gives up."""

RECENT = 20
"""Trials that ended last, of which more than half must have failed so.

Of few that is all of them, and five in a row are told at once.  Later it takes more: where one combination in nine does
not fit into memory, some fail for that reason in every long search, and the others are what it is for; but a disk that
is full after a hundred good trials is found within eleven.
"""


_FULL = re.compile("|".join(re.escape(os.strerror(code)) for code in (errno.ENOSPC, errno.EDQUOT)))


class Limits(Callback):
    """Stops the search, ready to be resumed, when a target is reached, the disk under it is full or trials fail alike.

    See :func:`disk_full` and :func:`failing_alike`.

    A resumed search goes on to its end: whoever resumes wants more than the target.
    """

    def __init__(self, target: float | None, aim: Aim = ACCURACY, folder: Path = Path("/")) -> None:
        self._target, self._aim, self._folder = target, aim, folder
        self._errors: list[str | None] = []  # of each trial that ended, in order; None for one that did not fail
        self._reported: dict[str, str] = {}  # trial id -> the error that it reported last

    def set_state(self, state: dict[str, Any]) -> None:
        """What Tune restores; counting starts again, since resuming says that the cause is mended."""
        self._target, self._errors, self._reported = None, [], {}

    def get_state(self) -> dict[str, Any]:
        """What Tune saves: enough to have `set_state` called."""
        return {"resumed": True}

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Look at an epoch, and at a trial that is about to end with an error."""
        self._reported.pop(trial.trial_id, None)
        if result.get("error"):
            self._reported[trial.trial_id] = str(result["error"])
        elif self._target is not None and self._aim.reaches(result.get(self._aim.best, math.nan), self._target):
            self._target = None
            ask_to_stop()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Count a trial that ended."""
        self._ended(self._reported.pop(trial.trial_id, None))

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Count a trial whose process died too often."""
        self._ended(why_it_died(trial))

    def _ended(self, error: str | None) -> None:
        self._errors.append(error)
        if error is not None and (disk_full(error, self._folder) or failing_alike(self._errors)):
            self._errors = []
            ask_to_stop()


def disk_full(error: BaseException | str, folder: Path = Path("/")) -> bool:
    """Return whether an error, or what it came of, says that the disk under ``folder`` is full.

    Whatever is tried next would fail so too; a node whose own disk is full is another matter.

    >>> disk_full("OSError: [Errno 28] No space left on device: '/runs/a/tune'", Path("/runs/a"))
    True
    >>> disk_full("OSError: [Errno 28] No space left on device: '/tmp/x'", Path("/runs/a"))
    False
    """
    if isinstance(error, str):
        return bool(_FULL.search(error)) and str(folder) in error
    causes = (error.__cause__, error.__context__)
    return disk_full(str(error), folder) or any(disk_full(cause, folder) for cause in causes if cause is not None)


def failing_alike(errors: Sequence[str | None]) -> str | None:
    """Return an error that the trials share which ended last, but for the figures in it, or None.

    It is shared by `ALIKE` or more of them, and by more than half of the `RECENT` last.

    Args:
        errors: of the trials that ended, in order; None for one that did not fail.
    """
    last = errors[-RECENT:]
    causes = [None if error is None else re.sub(r"\d+", "0", error) for error in last]
    counts = Counter(cause for cause in causes if cause is not None)
    for error, cause in zip(last, causes, strict=True):
        if cause is not None and counts[cause] >= ALIKE and 2 * counts[cause] > len(last):
            return error
    return None


def ask_to_stop() -> None:
    """Have Tune save its state and end, as after Ctrl-C."""
    os.kill(os.getpid(), STOP_SIGNAL)


@contextmanager
def interruptible(time_budget: float | None) -> Iterator[list[int]]:
    """Collect the signals that end a search while Tune stops cleanly; Tune itself listens to SIGINT only.

    A spent time budget stops in the same way: Tune's own ``time_budget_s`` marks running trials as ended and the
    searcher as finished, so that nothing could be resumed.
    """
    seen: list[int] = []

    def stop(number: int, frame: Any) -> None:
        seen.append(number)
        outage.hurry()  # a store that is away must not hold up the end
        if len(seen) > 1 or not tune_listens():
            raise KeyboardInterrupt
        ask_to_stop()

    def time_is_up() -> None:
        while not tune_listens():
            time.sleep(0.1)
        ask_to_stop()

    if threading.current_thread() is not threading.main_thread():
        raise UserError("a search listens to signals, which reach a program's main thread alone: call it from there")
    signal.signal(STOP_SIGNAL, signal.SIG_DFL)  # that of an earlier search in this process would hear us in vain
    clock = threading.Timer(time_budget or 0, time_is_up)
    clock.daemon = True
    if time_budget is not None:
        clock.start()
    before = {number: signal.signal(number, stop) for number in ending_signals()}
    try:
        yield seen
    finally:
        clock.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
