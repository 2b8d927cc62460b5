"""`fer-tune resume`: go on with a search that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(help="The run folder, or its URI.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the run folder at the end, and nothing else.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line per event, for programs.")] = False,
) -> None:
    """Go on with a search after a crash, a reboot, a lost cluster or Ctrl-C.

    Finished trials are kept and running ones go on from their last checkpoint.
    """
    from fer_tune.cli.search import conclude, show_as
    from fer_tune.search.running.engine import resume

    show_as(quiet=quiet, as_json=as_json)
    conclude(resume(run))
