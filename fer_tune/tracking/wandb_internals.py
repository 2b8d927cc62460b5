"""All that this project leans on inside W&B beyond its public interface, each point with why and what to look at.

Seen in wandb 0.31.  `tests/tracking/test_wandb_internals.py` has a test for each point, which fails when an upgrade
moves it; no other module may touch what W&B keeps to itself (`tests/test_architecture.py`).
"""

from __future__ import annotations

from subprocess import Popen
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import wandb

QUIET_SETTINGS: dict[str, Any] = {
    "x_disable_stats": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": 5,  # seconds, of 15: what the death of W&B or of the driver can cost
}
"""Settings of a run that W&B calls experimental: no system metrics, no list of packages, records on disk soon.

If one is renamed, `wandb.Settings` refuses it, and nothing is recorded (with a warning).
"""

NEWS_THREAD = "NetStatThr"
"""The thread of a run that asks the service for news, as it is named in ``wandb/sdk/wandb_run.py``.

It prints a traceback when the service is killed under it, and can be told no better.  If it is renamed, that is seen
at the end of a search whose uploads did not come through.
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
