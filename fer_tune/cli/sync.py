"""`fer-tune sync`: upload the W&B runs that were recorded offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fer_tune.amounts import amount


def command(run: Annotated[Path, typer.Argument(help="The run folder, or its URI.")]) -> None:
    """Upload the W&B runs that a search, a refit or a test recorded offline, oldest first; repeat it at will.

    The search becomes a sweep in W&B, whose runs are its trials.
    """
    from fer_tune.storage.mirror import with_wandb
    from fer_tune.storage.runs import kept, open_run
    from fer_tune.tracking.sweep import page_of
    from fer_tune.tracking.sync import upload

    folder = open_run(run, with_wandb)
    with kept(folder):
        done, left = upload(folder.path)
    typer.echo(f"W&B: {amount(done, 'run')} uploaded" if done or left else "W&B: nothing to upload")
    if page := page_of(folder):
        typer.echo(page)
    if left:
        shown = "\n".join(f"  {path}" for path in left[:5])
        typer.echo(f"W&B: {amount(len(left), 'run')} not uploaded, and kept; try again later:\n{shown}", err=True)
        raise typer.Exit(1)
