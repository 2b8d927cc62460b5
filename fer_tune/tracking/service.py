"""W&B's service process: one per Python process, it holds all open runs."""

from __future__ import annotations

from contextlib import suppress
from subprocess import Popen


def process() -> Popen[bytes] | None:
    """Return the handle of W&B's service process, if it runs. W&B has no public way to it."""
    from wandb.sdk import wandb_setup

    try:
        return wandb_setup.singleton()._connection._proc._process  # type: ignore[union-attr]
    except AttributeError:
        return None


def end(service: Popen[bytes] | None = None) -> None:
    """End W&B's service process, unless a notebook has a run of its own open in it; `wandb.init` starts another.

    Args:
        service: kill this one first, with all runs in it: after a failed `wandb.init` or on a dead network it would
            keep the run's id, or wait for uploads; what it recorded stays on disk.
    """
    import wandb

    if wandb.run is not None:
        return
    if service is not None:
        service.kill()
    with suppress(Exception, SystemExit):  # W&B leaves the whole program with the exit code of a killed service
        wandb.teardown()
