"""Starting Ray on this machine, also a slow or a busy one.

Ray's daemons have 15 seconds to come up, see `ray_internals.startup_timed_out`.  So a start that fails in this way is
tried again.  (Ray keeps a smaller agent for an installation without ``ray[default]``;
starting that one took 10.2 to 10.3 seconds of CPU instead of 10.4 to 10.6, which is not worth a patch of Ray.)
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import ray

# isort: split
import psutil  # Ray brings it, and finds it only once it is imported itself

from fer_tune.errors import UserError
from fer_tune.ray_internals import startup_timed_out


def start_ray(*, dashboard: bool = False, attempts: int = 3, **options: Any) -> None:
    """Start a Ray of this process and connect to it.

    Args:
        dashboard: start Ray's dashboard too.
        attempts: how often a start is tried.
        options: further arguments of ``ray.init``.

    Raises:
        UserError: it did not start, with what to do.
    """
    before = set(psutil.Process().children(recursive=True))
    for attempt in range(1, attempts + 1):
        try:
            ray.init(
                address="local",
                include_dashboard=dashboard,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **options,
            )
            return
        except Exception as error:  # Ray raises a plain Exception for this
            _end_children(before)
            if not startup_timed_out(error):
                raise
            logging.getLogger(__name__).info("Ray did not start, attempt %d of %d", attempt, attempts)
    raise UserError(
        f"Ray did not start in {attempts} attempts: this machine is too busy for it (its daemons have 15 seconds "
        "to come up). Try again when it is idle; Ray's own words are in /tmp/ray/session_latest/logs/raylet.err"
    )


def _end_children(keep: set[psutil.Process]) -> None:
    """End what a failed start has left, which ``ray.shutdown`` knows nothing of."""
    for process in psutil.Process().children(recursive=True):
        if process not in keep:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                process.kill()
                process.wait(10)
