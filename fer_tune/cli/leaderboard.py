"""The leaderboard that a search prints when it ends."""

from __future__ import annotations

import pyarrow.compute as pc
from rich.console import Console

from fer_tune.console_table import ConsoleTable
from fer_tune.objectives import ACCURACY
from fer_tune.run_folder import RunFolder
from fer_tune.tables import read_table

_SHOWN = ("learning_rate", "batch_size", "augmentation")


def print_leaderboard(run: RunFolder, rows: int = 10) -> None:
    """Print the best trials by what the search is for, and how many ended in which way."""
    console = Console(highlight=False)
    if not run.trials_file.is_file():
        console.print("no trial has reported yet")
        return
    aim = run.settings().aim
    trials = read_table(run.trials_file)
    counts = {entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(trials["status"])}
    ranked = sorted(
        (row for row in trials.to_pylist() if row[aim.column] is not None),
        key=lambda row: (-aim.key(row[aim.column]), row["trial_id"]),
    )
    told = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in sorted(counts.items()))
    table = ConsoleTable(title=f"{run.name}: {told}", box=None)
    judged = list({each.column: each for each in (aim, ACCURACY)}.values())  # accuracy is told whatever it is for
    for column in ("trial", "backbone", "origin"):
        table.add_column(column)
    for column in (*(each.head for each in judged), "epochs", "lr", "batch", "aug"):
        table.add_column(column, justify="right")
    for row in ranked[:rows]:
        settings = [row.get(f"config.{name}") for name in _SHOWN]
        table.add_row(
            row["trial_id"],
            row["backbone"],
            row["origin"],
            *(each.text(row[each.column]) for each in judged),
            f"{row['epochs']} {row['status'][:4]}",
            *("-" if value is None else f"{value:.3g}" for value in settings),
        )
    console.print(table)
