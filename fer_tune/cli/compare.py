"""`fer-tune compare`: several runs beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.across import Across

_TITLE = (
    "accuracy in %: in the search with one seed, refitted with the standard deviation over seeds, held-out with its "
    "95 % interval; read: how often the run opened the held-out split"
)


def command(
    runs: list[Path] = typer.Argument(..., help="Run folders, two or more.", metavar="RUN RUN..."),
    out: Path | None = typer.Option(
        None, "--out", help="Also write the table: .csv, .parquet or .md; or its figure: .png or .pdf.", metavar="FILE"
    ),
    profiles: Path | None = typer.Option(
        None, "--profiles", help="Also draw the performance profiles: .png or .pdf.", metavar="FILE"
    ),
) -> None:
    """Put several runs beside each other; winners that were tested on the same images are compared image by image.

    A row's accuracies are all of one configuration of a backbone: the tested winner, else the best refitted, else the
    best of the search. Over the seeds of what was tested on the same images stand the interquartile mean, the
    probability of improvement and the performance profiles of rliable.
    """
    from rich.box import SIMPLE_HEAD

    from analysis import compare
    from analysis.words import percent
    from fer_tune.console_table import ConsoleTable, table_console
    from fer_tune.errors import UserError

    kinds = (".csv", ".parquet", ".md", ".png", ".pdf")
    if out is not None and out.suffix not in kinds:
        raise UserError(f"--out {out}: its name must end in one of {', '.join(kinds)}")
    if profiles is not None and profiles.suffix not in (".png", ".pdf"):
        raise UserError(f"--profiles {profiles}: its name must end in .png or .pdf")
    found = compare(runs)
    table = ConsoleTable(title=_TITLE, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    named = ("run", "dataset", "config")
    for name in (*named, "trials", "search", "refitted", "held-out (95 %)", "read"):
        table.add_column(name, justify="left" if name in named else "right", overflow="fold")
    for row in found.table.to_dict("records"):
        refit = percent(row["refit_accuracy"])
        if row["refit_sd"] == row["refit_sd"]:
            refit += f" ± {percent(row['refit_sd'])}"
        test = percent(row["test_accuracy"])
        if test != "–":
            test += f" ({percent(row['test_low'])}–{percent(row['test_high'])})"
        cells = (row["run"], row["dataset"], row["config"] or row["backbone"], str(row["trials"]))
        table.add_row(*cells, percent(row["search_accuracy"]), refit, test, str(row["openings"]))
    console = table_console(soft_wrap=True)
    console.print(table)
    for comparison in found.comparisons:
        for pair in comparison.pairs:
            console.print(f"{pair.first} against {pair.second}: {pair.words}", markup=False)
        console.print(f"({comparison.method})", markup=False)
    _transfers(found, console)
    _aggregates(found, console)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    if out is not None:
        from analysis.saving import save_figure, save_table

        if out.suffix in (".png", ".pdf"):
            save_figure(found.plot(), out)
        else:
            save_table(found.table, out)
        console.print(f"written: {out}", markup=False)
    if profiles is not None:
        from analysis.saving import save_figure

        save_figure(found.plot_profiles(), profiles)
        console.print(f"written: {profiles}", markup=False)


def _transfers(found: Across, console: Console) -> None:
    from rich.box import SIMPLE_HEAD

    from analysis.words import percent
    from fer_tune.console_table import ConsoleTable

    if found.transfers.empty:
        return
    table = ConsoleTable(
        title="on other datasets, accuracy in %", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for name in ("run", "trained on", "tested on"):
        table.add_column(name)
    for name in ("shared classes (95 %)", "all (95 %)", "at home", "images"):
        table.add_column(name, justify="right")
    for row in found.transfers.to_dict("records"):
        table.add_row(
            row["run"],
            row["trained_on"],
            row["tested_on"],
            f"{percent(row['accuracy'])} ({percent(row['low'])}–{percent(row['high'])})",
            f"{percent(row['every'])} ({percent(row['every_low'])}–{percent(row['every_high'])})",
            percent(row["home"]),
            f"{row['images']:,}",
        )
    console.print(table)


def _aggregates(found: Across, console: Console) -> None:
    from analysis.words import percent

    console.print(found.scored + ("" if found.aggregates is None else ":"), markup=False)
    if found.aggregates is None:
        return
    for name, mean in zip(found.aggregates.names, found.aggregates.means, strict=True):
        told = f"{percent(mean.estimate)} ({percent(mean.low)} to {percent(mean.high)})"
        console.print(f"  {name}: interquartile mean {told}", markup=False)
    for each in found.aggregates.improvements:
        own = each.probability
        told = f"{percent(own.estimate)} % ({percent(own.low)} to {percent(own.high)})"
        console.print(f"  a seed of {each.first} does better than one of {each.second}: {told}", markup=False)
