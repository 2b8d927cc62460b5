"""`fer-tune dashboard`: a W&B workspace with the panels that the review of a search needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(help="The run folder, or its URI.")],
    entity: Annotated[str | None, typer.Option(help="User or team in W&B; by default WANDB_ENTITY, or you.")] = None,
    project: Annotated[str | None, typer.Option(help="Project; by default WANDB_PROJECT, or fer-tune.")] = None,
) -> None:
    """Save a view of a search in W&B: parallel coordinates, importance, accuracy by epoch, best so far, per class.

    Needs the extra `workspace`, a key, and the search uploaded (`fer-tune sync`); each call saves a new view.
    """
    from fer_tune.storage.runs import open_run
    from fer_tune.tracking.sync import sync_hint
    from fer_tune.tracking.workspace import save

    folder = open_run(run)
    address = save(folder, entity=entity, project=project)
    if hint := sync_hint(folder):
        typer.echo(f"{hint}; the view shows what was uploaded", err=True)
    typer.echo(f"W&B: view saved: {address}")
