"""W&B's service process, one per Python process, which holds all open runs."""

from __future__ import annotations

from contextlib import suppress
from subprocess import Popen


def teardown() -> None:
    """End W&B's service process, unless a notebook has a run of its own open in it."""
    import wandb

    if wandb.run is None:
        with suppress(Exception):  # it is dead already
            wandb.teardown()


def service_process() -> Popen[bytes] | None:
    """The handle of W&B's service process; W&B has no public way to it."""
    from wandb.sdk import wandb_setup

    try:
        return wandb_setup.singleton()._connection._proc._process  # type: ignore[union-attr]
    except AttributeError:
        return None
