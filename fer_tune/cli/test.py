"""`fer-tune test`: evaluate the winner on the held-out split, once, on record."""

from __future__ import annotations

from pathlib import Path

import typer

from fer_tune.cli.refit import DATA, RUN
from fer_tune.cli.stored import stored


@stored
def command(
    run: Path = RUN,
    again: bool = typer.Option(False, "--again", help="Open the held-out split once more; the report counts it."),
    why: str | None = typer.Option(None, "--why", help="The reason to note in the ledger.", metavar="TEXT"),
    tta: bool = typer.Option(True, "--tta/--no-tta", help="Also average over mirror image and ten crops."),
    data: Path | None = DATA,
) -> None:
    """Evaluate the refitted winner of RUN (best mean validation accuracy) on the split that nothing has read yet.

    Published configurations that were refitted are evaluated beside it, in the same opening, and compared with it.
    """
    from rich.console import Console

    from analysis import load_run
    from analysis.heldout.opening import run_test
    from analysis.recording.record import record_test
    from analysis.report.console import class_table, score_table
    from analysis.results import VIEW_NAMES
    from analysis.words import percent, span

    console = Console(soft_wrap=True, highlight=False)
    loaded = load_run(run)
    result = run_test(loaded, data=data, again=again, why=why, views=tuple(VIEW_NAMES) if tta else ())
    record_test(loaded, result)
    console.print(f"winner: {result.config_id} ({result.selection})")
    seeds = ", ".join(percent(value) for value in result.accuracy.per_seed)
    accuracy = f"{percent(result.accuracy.value)} % (95 % interval {span(result.accuracy)})"
    console.print(f"test accuracy: {accuracy}, mean of {len(result.seeds)} seeds: {seeds}")
    console.print(score_table(result))
    console.print(class_table(result))
    console.print(f"({result.method})")
    comparison = loaded.comparison
    if comparison is not None:
        for pair in comparison.pairs:
            console.print(f"against {pair.second_origin}: {pair.words}", markup=False)
    if result.opening > 1:
        console.print(f"the held-out split was opened {result.opening} times in this run; the report says so")
    console.print(f"recorded in {loaded.folder.test(result.config_id)}")
    console.print(f"next: fer-tune report {run}")
