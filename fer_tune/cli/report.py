"""`fer-tune report`: everything a run has found, in one file, with figures."""

from __future__ import annotations

from pathlib import Path

from fer_tune.cli.refit import RUN
from fer_tune.cli.stored import stored


@stored
def command(run: Path = RUN) -> None:
    """Write RUN/report: report.html, report.md and figures (png and pdf); says what is still to be done."""
    from rich.console import Console

    from analysis import load_run
    from analysis.report.writing import write_report
    from fer_tune.cli.leaderboard import print_leaderboard

    console = Console(soft_wrap=True, highlight=False)
    loaded = load_run(run)
    written = write_report(loaded)
    print_leaderboard(loaded.folder, rows=5)
    console.print(written.answer)
    console.print(f"report: {written.html}")
