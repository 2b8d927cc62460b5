"""Starting Ray on this machine, also a slow or a busy one.

Ray's daemons have 15 seconds to come up, see `ray_internals.startup_timed_out`.  So a start that fails in this way is
tried again.  (Ray keeps a smaller agent for an installation without ``ray[default]``;
starting that one took 10.2 to 10.3 seconds of CPU instead of 10.4 to 10.6, which is not worth a patch of Ray.)
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

# isort: split
import psutil  # Ray brings it, and finds it only once it is imported itself

from fer_tune.errors import UserError
from fer_tune.ray_internals import any_agent_port, dashboard_missing, startup_timed_out
from fer_tune.search.cluster.ray_folder import ray_folder
from fer_tune.search.cluster.ray_logs import cause_of_death, newest_session

_REINSTALL = "Install Ray with all that it needs: pip install 'ray[default,tune,train]'"


def start_ray(*, dashboard: bool = False, attempts: int = 3, **options: Any) -> None:
    """Start a Ray of this process and connect to it.

    Its daemons do not hear a terminal that closes: they end with this process, which saves the search before.

    Args:
        dashboard: start Ray's dashboard too.
        attempts: how often a start is tried.
        options: further arguments of ``ray.init``.

    Raises:
        UserError: it did not start, with what to do.
    """
    folder = ray_folder()
    session: Path | None = None
    before = set(psutil.Process().children(recursive=True))
    for attempt in range(1, attempts + 1):
        try:
            with any_agent_port(), _deaf_to_hangups():
                ray.init(
                    address="local",
                    include_dashboard=dashboard,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=str(folder),
                    **options,
                )
            return
        except Exception as error:  # Ray raises a plain Exception for this
            _end_children(before)
            if dashboard_missing(error):
                raise UserError(
                    "Ray's dashboard, which workers of one trial need, cannot be started: packages of it are missing. "
                    f"{_REINSTALL}; or use one worker per trial"
                ) from None
            if not startup_timed_out(error):
                raise
            session = newest_session(folder, os.getpid())
            died = cause_of_death(session) if session else None
            if died:
                cure = f". {_REINSTALL}" if died[0].startswith(("ModuleNotFoundError", "ImportError")) else ""
                raise UserError(f"Ray did not start: {died[0]} (as {died[1]} says){cure}") from None
            logging.getLogger(__name__).info("Ray did not start, attempt %d of %d", attempt, attempts)
    raise UserError(
        f"Ray did not start in {attempts} attempts: its daemons have 15 seconds to come up, and this machine seems too "
        f"busy for it. Try again when it is idle; Ray's own words are in {session or folder}/logs/raylet.err"
    )


@contextmanager
def _deaf_to_hangups() -> Iterator[None]:
    """Have programs that the block starts not hear SIGHUP, which a terminal that closes sends to all in it.

    A signal that is blocked stays so in what is started, as Ray does with SIGINT; one that comes meanwhile is heard
    after the block.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_children(keep: set[psutil.Process]) -> None:
    """End what a failed start has left, which ``ray.shutdown`` knows nothing of."""
    for process in psutil.Process().children(recursive=True):
        if process not in keep:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                process.kill()
                process.wait(10)
