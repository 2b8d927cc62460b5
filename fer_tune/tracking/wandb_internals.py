"""All that this project leans on inside W&B beyond its public interface, each point with why and what to look at.

Seen in wandb 0.31.  `tests/tracking/test_wandb_internals.py` has a test for each point, which fails when an upgrade
moves it; no other module may touch what W&B keeps to itself (`tests/test_architecture.py`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from subprocess import Popen
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import wandb

QUIET_SETTINGS: dict[str, Any] = {
    "x_disable_stats": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": 5,  # seconds, of 15: what the death of W&B or of the driver can cost
}
"""Settings of a run that W&B calls experimental: no list of packages, records on disk soon, and system metrics only of
what is open while a trial of this machine trains.

If one is renamed, `wandb.Settings` refuses it, and nothing is recorded (with a warning).
"""

THREADS = ("NetStatThr", "wandb-ServiceFinalizer")
"""Threads that ask the service for something: for news of a run, and to forget what nobody uses any more.

They print a traceback when the service is killed under them, and can be told no better.  They are named in
``wandb/sdk/wandb_run.py`` and ``wandb/sdk/lib/service/service_finalizer.py``.  If one is renamed, that is seen at the
end of a search whose uploads did not come through.
"""

OFFLINE_RUNS = "offline-run-*"
ONLINE_RUNS = "run-*"
RECORDS = "*.wandb"
SYNCED = "*.wandb.synced"
"""Folders of runs below ``wandb/``, the record in each, and the mark of one that the server has (``wandb/cli``).

``wandb sync`` can only print which runs it would upload.  If they are renamed, `fer-tune sync` finds nothing to do.
"""


def service_process() -> Popen[bytes] | None:
    """Return the handle of W&B's service process, if it runs.

    ``wandb.teardown`` waits for uploads, without end on a dead network; to kill the process it has to be known.  If it
    moves, it is not found: a search then waits for W&B at its end.
    """
    from wandb.sdk import wandb_setup

    try:
        return wandb_setup.singleton()._connection._proc._process  # type: ignore[union-attr]
    except AttributeError:
        return None


def record_used(run: wandb.Run, artifact: wandb.Artifact) -> None:
    """Have the run record that it uses a new artifact, which is uploaded with it: the lineage that W&B draws.

    As ``Run.use_artifact`` does, but for its wait for the server, and its refusal when offline.  If it moves, attaching
    fails with a warning.
    """
    run._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def flaw_of(key: str) -> str | None:
    """Return what is wrong with the form of an API key, in W&B's words, without the key; None if nothing is.

    ``wandb.login`` checks it too, but keeps the key, and asks for one at the terminal.
    """
    from wandb.sdk.lib import wbauth

    return wbauth.check_api_key(key)


def key_is_kept() -> bool:
    """Return whether W&B would find an API key in its settings or in the netrc entry of its server.

    ``wandb.setup`` returns these settings too, but starts the service process.

    Raises:
        wandb.errors.AuthenticationError: the entry is not valid.
        Exception: the settings are not.
    """
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    settings = wandb_setup.singleton().settings
    return bool(settings.api_key or wbauth.read_netrc_auth(host=settings.base_url))


def upsert_sweep(
    api: wandb.Api, config: dict[str, Any], *, entity: str, project: str, prior_runs: list[str]
) -> tuple[str, str, str]:
    """Have the server make a sweep; return its id, and the entity and the project that it is in.

    As ``wandb.sweep`` does, which prints, returns the id alone and leaves WANDB_ENTITY and WANDB_PROJECT set.

    Raises:
        Exception: whatever W&B raises.
    """
    from wandb.apis.public.sweeps import _upsert_sweep

    before = {name: os.environ.get(name) for name in ("WANDB_ENTITY", "WANDB_PROJECT")}
    try:
        made, _ = _upsert_sweep(api, config, entity=entity or None, project=project, prior_runs=prior_runs)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    place = made.get("project") or {}
    return made["name"], (place.get("entity") or {}).get("name") or entity, place.get("name") or project


def set_sweep_state(api: wandb.Api, sweep: str, state: Any, *, entity: str, project: str) -> None:
    """Have the server show a sweep as RUNNING, PAUSED or FINISHED, as ``wandb sweep --pause`` does, without a word.

    Raises:
        Exception: whatever W&B raises; also where a sweep has ended already.
    """
    from wandb.apis.public.sweeps import _set_sweep_state

    _set_sweep_state(api, sweep, state, entity=entity, project=project)


@dataclass(frozen=True)
class RecordedRun:
    """What the record of a run says of it at its beginning."""

    run_id: str
    job_type: str
    entity: str
    project: str
    sweep_id: str


def run_in(record: bytes) -> RecordedRun | None:
    """Return the run that one record of a run's file describes; None where it is about something else."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    message = Record()
    message.ParseFromString(record)
    if message.WhichOneof("record_type") != "run":
        return None
    run = message.run
    return RecordedRun(run.run_id, run.job_type, run.entity, run.project, run.sweep_id)


def in_sweep(record: bytes, sweep_id: str) -> bytes:
    """Return one record of a run's file as it is where the run was begun within a sweep.

    ``wandb sync`` tells the server the sweep that the record names, and none that its options or the environment name.
    """
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    message = Record()
    message.ParseFromString(record)
    if message.WhichOneof("record_type") != "run" or message.run.sweep_id == sweep_id:
        return record
    message.run.sweep_id = sweep_id
    written: bytes = message.SerializeToString()
    return written
