"""The leaderboard that a search prints when it ends."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from analysis.trials.one_seed import one_seed_sentence
from fer_tune.console_table import ConsoleTable, table_console
from fer_tune.objectives import ACCURACY

if TYPE_CHECKING:
    from analysis.run import RunRecord

_SHOWN = ("learning_rate", "batch_size", "augmentation")


def print_leaderboard(run: RunRecord, rows: int = 10) -> None:
    """Print the best trials by what the search is for, how many ended in which way, and how sure the best is."""
    console = table_console()
    if not run.rows:
        console.print("no trial has reported yet")
        return
    aim = run.aim
    counts = Counter(row["status"] for row in run.rows)
    told = ", ".join(f"{number} {_words(status)}" for status, number in sorted(counts.items()))
    reported = [row for row in run.rows if row[aim.column] is not None]  # those that an interrupt cut too
    ranked = sorted(reported, key=lambda row: (-aim.key(row[aim.column]), row["trial_id"]))
    table = ConsoleTable(title=f"{run.folder.name}: {told}", box=None)
    judged = list({each.column: each for each in (aim, ACCURACY)}.values())  # accuracy is told whatever it is for
    for column in ("trial", "backbone", "origin"):
        table.add_column(column)
    for column in (*(each.head for each in judged), "epochs", "lr", "batch", "aug"):
        table.add_column(column, justify="right")
    for row in ranked[:rows]:
        settings = [row["config"].get(name) for name in _SHOWN]
        table.add_row(
            row["trial_id"],
            row["backbone"],
            row["origin"],
            *(each.text(row[each.column]) for each in judged),
            f"{row['epochs']}" + ("" if row["status"] == "completed" else f" {_words(row['status'])}"),
            *("-" if value is None else f"{value:.3g}" for value in settings),
        )
    console.print(table)
    if doubt := one_seed_sentence(run, ranked):
        console.print(doubt, markup=False, soft_wrap=True)


def _words(status: str) -> str:
    return status.replace("_", " ")
