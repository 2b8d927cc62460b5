"""The trials that no other one beats in both objectives of a search."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from rich.table import Table

from fer_tune.run_folder import OBJECTIVE_COLUMNS, Objective, SearchSettings

_HEADS: dict[Objective, str] = {"seconds": "s/epoch", "latency": "ms/image", "parameters": "parameters"}


def second_objective(settings: SearchSettings) -> Objective | None:
    """Return what a search minimised beside maximising validation accuracy, if anything."""
    return settings.objectives[1] if len(settings.objectives) > 1 else None


def pareto_front(rows: Iterable[dict[str, Any]], second: Objective) -> list[dict[str, Any]]:
    """Return the rows of trials.parquet that none beats in one objective without losing in the other.

    They come best accuracy first.  A trial that was stopped early counts with the accuracy that it had by then, which
    is that of a checkpoint; a failed one, or one without either value, does not.  Of several with the same two values
    the first stays.
    """
    column = OBJECTIVE_COLUMNS[second]
    known = [
        row for row in rows if row["status"] != "failed" and _number(row["best_val_accuracy"]) and _number(row[column])
    ]
    known.sort(key=lambda row: (-row["best_val_accuracy"], row[column]))
    front: list[dict[str, Any]] = []
    for row in known:
        if not front or row[column] < front[-1][column]:
            front.append(row)
    return front


def pareto_table(rows: Iterable[dict[str, Any]], second: Objective) -> Table:
    """Return the front for a terminal."""
    table = Table(title=f"no trial is better in both accuracy and {second}", box=None)
    for head in ("trial", "backbone", "origin", "val acc", _HEADS[second], "epochs"):
        table.add_column(head, justify="left" if head in ("trial", "backbone", "origin") else "right")
    for row in pareto_front(rows, second):
        value = row[OBJECTIVE_COLUMNS[second]]
        table.add_row(
            row["trial_id"],
            row["backbone"],
            row["origin"],
            f"{100 * row['best_val_accuracy']:.2f} %",
            f"{value:,}" if second == "parameters" else f"{value:.3g}",
            f"{row['epochs']} {row['status'][:4]}",
        )
    return table


def _number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
