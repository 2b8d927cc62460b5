"""Runs by their URI: what every command that takes RUN does with one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any


def stored(command: Callable[..., None], *, wandb: bool = False) -> Callable[..., None]:
    """Let a command of the command line, which takes ``run``, work on a run in an object store as on a folder.

    The run is brought to this machine first, ``run`` becomes its URI as it is to be printed, and what the command
    writes is sent to the store while it works and when it ends, also by an error. Folders are left alone.

    Args:
        command: opens ``run`` by `load_run` or `open_run`.
        wandb: bring the W&B runs that were recorded offline too.
    """

    @functools.wraps(command)
    def keeping(*positional: Any, run: Path, **options: Any) -> None:
        from fer_tune.storage.mirror import small, with_wandb
        from fer_tune.storage.runs import kept, open_run

        opened = open_run(run, with_wandb if wandb else small)
        with kept(opened):
            command(*positional, run=opened.uri or run, **options)

    return keeping


def stored_with_wandb(command: Callable[..., None]) -> Callable[..., None]:
    """`stored`, for a command that needs the offline W&B runs."""
    return stored(command, wandb=True)
