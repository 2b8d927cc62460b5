"""`fer-tune report`: everything a run has found, in one file, with figures."""

from __future__ import annotations

from typing import Any

from analysis.actions.report import report
from fer_tune.cli.parts.shell import command as made_from


@made_from(report)
def command(given: dict[str, Any]) -> None:
    from analysis import Run
    from analysis.folds.run import load_any
    from fer_tune.cli.parts.leaderboard import print_leaderboard
    from fer_tune.console_table import table_console

    run = load_any(given["run"])
    written = run.report()
    console = table_console(soft_wrap=True)
    if isinstance(run, Run):
        print_leaderboard(run, rows=5)
    console.print(written.answer)
    if written.footing:
        console.print(written.footing)
    console.print(f"report: {written.html}")
