"""`fer-tune dashboard`: a W&B workspace with the panels that the review of a search needs, and a report page."""

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

    And a report page with the sections of `fer-tune report`, their words and tables beside these panels. Needs the
    extra `workspace`, a key, and the search uploaded (`fer-tune sync`); each call saves new ones.
    """
    from analysis.recording.attachments import for_page
    from analysis.run import read_run
    from fer_tune.storage.runs import open_run
    from fer_tune.tracking.mode import images_allowed
    from fer_tune.tracking.sync import sync_hint
    from fer_tune.tracking.workspace import save

    folder, images = open_run(run), images_allowed()
    saved = save(
        folder, entity=entity, project=project, sections=lambda: for_page(read_run(folder.path), images=images)
    )
    if hint := sync_hint(folder):
        typer.echo(f"{hint}; the view shows what was uploaded", err=True)
    typer.echo(f"W&B: view saved: {saved.view}\nW&B: report page saved: {saved.page}")
