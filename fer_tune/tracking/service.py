"""What is asked of the wandb package: a run, and an end of the service process that holds all open runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any

from fer_tune.tracking.mode import Mode

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

PROJECT = "fer-tune"  # where WANDB_PROJECT does not name another


def open_run(
    run_id: str, folder: Path, mode: Mode, limits: dict[str, float], init: dict[str, Any], step: str = "epoch"
) -> Run:
    """Open a W&B run under ``folder/wandb``, or go on with the one of that id.

    Args:
        run_id: as W&B takes it, see `wandb_callback.run_id`.
        folder: the run folder.
        mode: online or offline.
        limits: ``init_timeout`` and ``finish_timeout`` in seconds.
        init: more words of `wandb.init`: name, group, job_type, tags, config.
        step: what the history is drawn over.

    Raises:
        Exception: whatever W&B raises; it has many kinds.
    """
    import wandb

    (folder / "wandb").mkdir(parents=True, exist_ok=True)  # W&B would go to /tmp without a word
    run = wandb.init(
        id=run_id,
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        dir=str(folder),
        mode=mode,
        reinit="create_new",
        resume="allow",
        settings=wandb.Settings(
            console="off",
            silent=True,
            disable_git=True,  # a remote's address can hold a password
            x_disable_stats=True,
            x_save_requirements=False,
            x_transaction_log_flush_interval=5,  # seconds, of 15: what the death of W&B or of the driver can cost
            **limits,
        ),
        **init,
    )
    run.define_metric(step)
    run.define_metric("*", step_metric=step)  # an epoch that comes twice is fine, as a step it would not be
    return run


def attach(run: Run, folder: Path, tables: dict[str, list[dict[str, Any]]], files: dict[str, list[Path]]) -> None:
    """Log ``tables`` and ``files`` with a run; files are named where they are, not copied.

    W&B keeps copies of tables until they are uploaded, in the home folder of whoever runs it; here they go to
    ``folder/wandb``, beside the run that they belong to, unless WANDB_DATA_DIR names a place.

    Raises:
        Exception: whatever W&B raises.
    """
    import wandb

    with _data_in(folder / "wandb"):
        for name, rows in tables.items():
            columns: list[str | int] = list(rows[0]) if rows else []
            run.log({name: wandb.Table(columns=columns, data=[list(row.values()) for row in rows])})
        for name, paths in files.items():
            artifact = wandb.Artifact(name, type=name.rsplit("-", 1)[-1])
            for path in paths:
                artifact.add_file(str(path), policy="immutable")
            run.log_artifact(artifact)


@contextmanager
def _data_in(folder: Path) -> Iterator[None]:
    """Have W&B keep its data in ``folder``; it asks the environment alone, each time."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("WANDB_DATA_DIR", None)


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
