"""`fer-tune watch`: follow a search from another terminal, or look at one that has ended."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer


def command(
    run: Annotated[Path, typer.Argument(help="The run folder, or its URI.", metavar="RUN")],
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option(help="Look once and end, as it does when piped.")] = False,
) -> None:
    """Show what a running or an ended search has done so far, from its run folder alone; Ctrl-C ends the watching."""
    from rich.live import Live

    from fer_tune.console_table import table_console
    from fer_tune.search.watching.board import board
    from fer_tune.search.watching.watched import read_snapshot
    from fer_tune.storage.runs import open_run

    console = table_console()
    snapshot = read_snapshot(open_run(run))
    if once or not console.is_terminal:
        console.print(board(snapshot))
        return
    try:
        with Live(board(snapshot), console=console, auto_refresh=False) as live:
            while snapshot.ended < snapshot.total:
                time.sleep(every)
                snapshot = read_snapshot(open_run(run))
                live.update(board(snapshot), refresh=True)
    except KeyboardInterrupt:
        pass
