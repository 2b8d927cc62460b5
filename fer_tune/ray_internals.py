"""All that this project leans on inside Ray beyond its public interface, each point with why and what to look at.

Seen in Ray 2.60.  `tests/test_ray_internals.py` has a test for each point, which fails when an upgrade moves it; no
other module may touch what Ray keeps to itself (`tests/test_architecture.py`).
"""

from __future__ import annotations

import copy
import functools
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ray
from ray._private import parameter, services
from ray._private.state import available_resources_per_node

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

HEAD_NODE = "node:__internal_head__"
"""The resource that every head has, and only a head: a trial that trains in workers of its own asks for a little of it.

Tune wants some resource for each trial, and a part of a CPU would be missing where the workers train.  Ray's own
libraries place their controllers by it (``ray._common.constants.HEAD_NODE_RESOURCE_NAME``); users are promised nothing.
If it moves, such trials wait for ever.
"""

NICENESS = "RAY_worker_niceness"
"""The variable that sets how nice workers are to other programs, 15 unless told: on a busy machine they starve.

One of the raylet's own settings (``ray_config_def.h``), which no argument of ``ray.init`` reaches.  If it moves, trials
on a busy machine become slow.
"""

STOP_SIGNAL = signal.SIGUSR1
"""On this signal Tune saves its state and ends, as on Ctrl-C (``ray/tune/tune.py``, ``_setup_signal_catching``).

Tune has no call for it: a callback can stop trials, not the search in a state that can be resumed, and
``time_budget_s`` marks running trials as ended.  If it moves, the signal kills the search.
"""

SOCKET = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""The longest path that Ray makes below its folder, with the highest process id that Linux gives (``Node.__init__``).

If it becomes longer, Ray does not start where its folder's path is nearly too long; nothing else is there to ask.
"""


@contextmanager
def any_agent_port() -> Iterator[None]:
    """Have a Ray that starts in the block give its dashboard agent a port that is free.

    The agent takes 52365 else, and of two Rays on one machine the second has none: it seems to start, and then every
    ``ray job submit`` to it fails with "No available agent".  ``ray start`` has an option for it and ``ray.init`` has
    not; it makes its settings of this class.  If it moves, a search keeps a head that starts
    beside it from its agent's port.
    """
    made = parameter.RayParams
    parameter.RayParams = functools.partial(made, dashboard_agent_listen_port=0)  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        parameter.RayParams = made  # type: ignore[misc]


def tune_listens() -> bool:
    """Return whether Tune has set itself up to hear `STOP_SIGNAL`; before that it would kill the process."""
    return signal.getsignal(STOP_SIGNAL) is not signal.SIG_DFL


def ray_here() -> str:
    """Return the ``HOST:PORT`` that ``auto`` stands for on this machine; empty where no Ray is known.

    It is what the last ``ray start`` noted, which stays when that Ray has ended: ``ray.init`` then waits for more than
    six minutes (seen), and ends the program.  Nothing public says which Ray would be joined, so this asks what
    ``ray.init`` asks (``services.canonicalize_bootstrap_address``).  If it moves, ``RAY_ADDRESS=auto`` fails.
    """
    services.find_gcs_addresses.cache_clear()  # type: ignore[attr-defined]  # as ray.init does
    try:
        return services.canonicalize_bootstrap_address("auto") or ""
    except ConnectionError:
        return ""


def startup_timed_out(error: Exception) -> bool:
    """Return whether Ray did not start because its daemons were too slow, by the words of its error.

    A raylet gives its dashboard agent 15 seconds to report its ports, a constant, and aborts when they are over
    (ray-project/ray#65983).  The program hears of it by a plain ``Exception``.  If the words change, a start on a busy
    machine is not tried again.
    """
    return "timed out during startup" in str(error)


def dashboard_missing(error: Exception) -> bool:
    """Return whether Ray did not start because packages of its dashboard are missing, by the words of its error.

    They are those of a plain ``Exception`` (``Node.start_api_server``).  If they change, the user sees a traceback.
    """
    return "Cannot include dashboard with missing packages" in str(error)


def unused_by_node() -> Mapping[str, Mapping[str, float]]:
    """Return what nobody uses now, or a little earlier: node id -> resource -> how much.

    ``ray.available_resources`` gives the sum over all nodes, also those that a trial may not use, and the state API
    needs a dashboard.  If it moves, importing this module fails.
    """
    found: Mapping[str, Mapping[str, float]] = available_resources_per_node()
    return found


def trial_storage() -> tuple[str, Any]:
    """Return where the trial that this process runs keeps its checkpoints: a path, and the filesystem that it is on.

    A group of workers saves there, so that a restarted trial finds them.  ``get_storage`` is Ray's interface for
    developers, "experimental and subject to change"; the path that is public, ``get_trial_dir``, is a scratch folder of
    this machine.  If it moves, no trial with several workers starts.
    """
    from ray import tune  # not at the top: whoever only starts Ray need not wait for it

    storage = tune.get_context().get_storage()
    return storage.trial_fs_path, storage.storage_filesystem


def at_home(tune_controller: TuneController, trial: Trial) -> None:
    """Have a trial that is added keep its files in the run's folder as it is now.

    A resumed search makes its trials by what Tune wrote down when it began (``SearchGenerator.set_state`` brings back
    the ``Experiment``), with the folder that it had then.  Trials that Tune brings back itself get the folder of now
    (``TuneController._restore_trials``); this does the same for new ones.  If it moves, new trials of a search whose
    folder was moved fail with "Unable to set up cluster storage".
    """
    now = tune_controller._storage
    storage = copy.copy(trial.storage)
    if now is None or storage is None:
        return  # Tune has yet to say where anything is
    storage.storage_filesystem = now.storage_filesystem
    storage.storage_fs_path = now.storage_fs_path
    storage.experiment_dir_name = now.experiment_dir_name
    trial.set_storage(storage)


def retire(tune_controller: TuneController, trial: Trial) -> None:
    """Have Tune end the process of ``trial`` when the trial is over, instead of starting the next trial in it.

    Tune reuses a trial's process without asking anyone.  A process that refuses at the next trial's start
    (``Trainable.reset_config``) fails that trial for good, and one that raises costs it one of its retries.  But Tune
    keeps only processes that it knows as started (``TuneController._maybe_cache_trial_actor``), so this has it forget.
    If it moves, worn-out processes are reused, or the search fails at the end of a trial.
    """
    process = tune_controller._trial_to_actor.get(trial)
    if process is not None:
        tune_controller._started_actors.discard(process)


def know_own_address() -> None:
    """Have Ray's state API find the Ray of this worker process; a ``worker_process_setup_hook``.

    It looks for the Rays of the machine, and gives up where there are two (``services.canonicalize_bootstrap_address``,
    Ray 2.60), also within a worker of one of them.  Ray Train asks it whether a trial of several workers still lives;
    where that fails, the places of stopped trials are never given back, until the search hangs.
    """
    os.environ.setdefault("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
