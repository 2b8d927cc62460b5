"""`fer-tune report`: everything a run has found, in one file, with figures."""

from __future__ import annotations

from pathlib import Path

from fer_tune.cli.refit import RUN


def command(run: Path = RUN) -> None:
    """Write RUN/report: report.html, report.md and figures (png and pdf); says what is still to be done."""
    from rich.console import Console

    from analysis import load_run
    from analysis.report import write_report

    console = Console(soft_wrap=True, highlight=False)
    written = write_report(load_run(run))
    console.print(written.answer)
    console.print(f"report: {written.html}")
