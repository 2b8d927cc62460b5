"""`fer-tune resume`: go on with a search that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(run: Annotated[Path, typer.Argument(help="The run folder.")]) -> None:
    """Go on with a search after a crash, a reboot, a lost cluster or Ctrl-C.

    Finished trials are kept and running ones go on from their last checkpoint.
    """
    from fer_tune.cli.search import conclude
    from fer_tune.search.engine import resume

    conclude(resume(run))
