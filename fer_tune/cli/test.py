"""`fer-tune test`: evaluate the winner on the held-out split, once, on record."""

from __future__ import annotations

from pathlib import Path

import typer

from fer_tune.cli.refit import DATA, RUN


def command(
    run: Path = RUN,
    again: bool = typer.Option(False, "--again", help="Open the held-out split once more; the report counts it."),
    why: str | None = typer.Option(None, "--why", help="The reason to note in the ledger.", metavar="TEXT"),
    data: Path | None = DATA,
) -> None:
    """Evaluate the refitted winner of RUN (best mean validation accuracy) on the split that nothing has read yet."""
    from rich.console import Console

    from analysis import load_run
    from analysis.console import class_table
    from analysis.findings import percent, span
    from analysis.heldout import run_test
    from analysis.record import record_test

    console = Console(soft_wrap=True, highlight=False)
    loaded = load_run(run)
    result = run_test(loaded, data=data, again=again, why=why)
    warning = record_test(loaded, result)
    console.print(f"winner: {result.config_id} ({result.selection})")
    seeds = ", ".join(percent(value) for value in result.accuracy.per_seed)
    accuracy = f"{percent(result.accuracy.value)} % (95 % interval {span(result.accuracy)})"
    console.print(f"test accuracy: {accuracy}, mean of {len(result.seeds)} seeds: {seeds}")
    console.print(f"balanced accuracy: {percent(result.balanced_accuracy.value)} % ({span(result.balanced_accuracy)})")
    console.print(f"macro F1: {percent(result.macro_f1.value)} % ({span(result.macro_f1)})")
    if result.ensemble is not None:
        joint = result.ensemble
        words = f"{percent(joint.accuracy)} % ({percent(joint.low)} to {percent(joint.high)})"
        console.print(f"ensemble of the {len(result.seeds)} seeds: {words}")
    console.print(class_table(result))
    console.print(f"({result.method})")
    if result.opening > 1:
        console.print(f"the held-out split was opened {result.opening} times in this run; the report says so")
    if warning:
        console.print(warning, markup=False)
    console.print(f"recorded in {loaded.folder.test(result.config_id)}")
    console.print(f"next: fer-tune report {run}")
