"""The leaderboard that a search prints when it ends."""

from __future__ import annotations

import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from fer_tune.run_folder import RunFolder

_SHOWN = ("learning_rate", "batch_size", "augmentation")


def print_leaderboard(run: RunFolder, rows: int = 10) -> None:
    """Print the best trials by validation accuracy, and how many ended in which way."""
    console = Console(highlight=False)
    if not run.trials_file.is_file():
        console.print("no trial has reported yet")
        return
    trials = pq.read_table(run.trials_file)
    counts = {entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(trials["status"])}
    ranked = sorted(
        (row for row in trials.to_pylist() if row["best_val_accuracy"] is not None),
        key=lambda row: (-row["best_val_accuracy"], row["trial_id"]),
    )
    table = Table(title=f"{run.name}: {', '.join(f'{n} {status}' for status, n in sorted(counts.items()))}", box=None)
    for column in ("trial", "backbone", "origin", "val acc", "epochs", "lr", "batch", "aug"):
        table.add_column(column, justify="right" if column in ("val acc", "epochs", "lr", "batch", "aug") else "left")
    for row in ranked[:rows]:
        settings = [row.get(f"config.{name}") for name in _SHOWN]
        table.add_row(
            row["trial_id"],
            row["backbone"],
            row["origin"],
            f"{100 * row['best_val_accuracy']:.2f} %",
            f"{row['epochs']} {row['status'][:4]}",
            *("-" if value is None else f"{value:.3g}" for value in settings),
        )
    console.print(table)
