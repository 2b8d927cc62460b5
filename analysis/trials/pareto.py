"""The trials that no other one beats in both objectives of a search."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from analysis.words import settings_text, told
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import ACCURACY, OBJECTIVES, Aim, Objective
from fer_tune.run_folder import SearchSettings

if TYPE_CHECKING:
    from fer_tune.console_table import ConsoleTable

HEADS: dict[Objective, str] = {name: aim.head for name, aim in OBJECTIVES.items()}
MEANINGS: dict[Objective, str] = {name: aim.meaning for name, aim in OBJECTIVES.items()}


def second_objective(settings: SearchSettings) -> Objective | None:
    """Return what a search kept low beside what it judged by, if anything."""
    return settings.objectives[1] if len(settings.objectives) > 1 else None


def measured(rows: Iterable[dict[str, Any]], second: Objective, aim: Aim = ACCURACY) -> list[dict[str, Any]]:
    """Return the rows of trials.parquet that have both values and did not fail, in their order."""
    column = OBJECTIVES[second].column
    return [
        row
        for row in rows
        if row["status"] not in ("failed", TOO_LARGE) and _number(row[aim.column]) and _number(row[column])
    ]


def pareto_front(rows: Iterable[dict[str, Any]], second: Objective, aim: Aim = ACCURACY) -> list[dict[str, Any]]:
    """Return the rows of trials.parquet that none beats in one objective without losing in the other.

    They come best first, by ``aim``.  A trial that was stopped early counts with what it had by then, which
    is that of a checkpoint; a failed one, or one without either value, does not.  Of several with the same two values
    the first stays.
    """
    column = OBJECTIVES[second].column
    front: list[dict[str, Any]] = []
    for row in sorted(measured(rows, second, aim), key=lambda row: (-aim.key(row[aim.column]), row[column])):
        if not front or row[column] < front[-1][column]:
            front.append(row)
    return front


def pareto_rows(
    rows: list[dict[str, Any]], second: Objective, published: set[str], aim: Aim = ACCURACY
) -> list[dict[str, str]]:
    """Return a report's table: the front, the best first, then what of the published is not on it.

    Args:
        rows: `Run.rows`.
        second: what was kept low.
        aim: what trials are judged by.
        published: names of the published configurations.
    """
    front = pareto_front(rows, second, aim)
    on_it = {row["trial_id"] for row in front}
    beaten = [row for row in measured(rows, second, aim) if row["origin"] in published and row["trial_id"] not in on_it]
    beaten.sort(key=lambda row: (-aim.key(row[aim.column]), row["trial_id"]))
    return [_text(row, second, aim, published, "on it") for row in front] + [
        _text(row, second, aim, published, _place(row, front, second, aim)) for row in beaten
    ]


def _text(row: dict[str, Any], second: Objective, aim: Aim, published: set[str], front: str) -> dict[str, str]:
    return {
        "trial_id": row["trial_id"],
        "backbone": row["backbone"],
        "origin": row["origin"],
        "kind": "published" if row["origin"] in published else "searched",
        "judged": told(row[aim.column], aim),
        "value": value_text(row[OBJECTIVES[second].column], second),
        "front": front,
        "settings": settings_text(row["config"]),
    }


def _place(row: dict[str, Any], front: list[dict[str, Any]], second: Objective, aim: Aim) -> str:
    """Return which trial of the front is better, or as good."""
    column = OBJECTIVES[second].column
    own = (row[aim.column], row[column])
    better = next(each for each in front if each[column] <= own[1])  # the best that costs no more
    same = (better[aim.column], better[column]) == own
    return f"as good as {better['trial_id']}" if same else f"beaten by {better['trial_id']}"


def value_text(value: float, second: Objective) -> str:
    """Return a value of the second objective for people."""
    return f"{value:,.0f}" if OBJECTIVES[second].whole or value >= 100 else f"{value:.3g}"


def pareto_table(rows: Iterable[dict[str, Any]], second: Objective, aim: Aim = ACCURACY) -> ConsoleTable:
    """Return the front for a terminal."""
    from fer_tune.console_table import ConsoleTable

    table = ConsoleTable(
        title=f"no trial is better in both {aim.meaning.removeprefix('validation ')} and {second}", box=None
    )
    for head in ("trial", "backbone", "origin", aim.head, HEADS[second], "epochs"):
        table.add_column(head, justify="left" if head in ("trial", "backbone", "origin") else "right")
    for row in pareto_front(rows, second, aim):
        table.add_row(
            row["trial_id"],
            row["backbone"],
            row["origin"],
            aim.text(row[aim.column]),
            value_text(row[OBJECTIVES[second].column], second),
            f"{row['epochs']} {row['status'][:4]}",
        )
    return table


def _number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
