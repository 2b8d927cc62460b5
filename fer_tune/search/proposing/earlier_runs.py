"""The trials of earlier runs, as a new search reads them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fer_tune.filing.layout import SETTINGS
from fer_tune.filing.tables import read_table
from fer_tune.filing.uris import as_uri
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import Aim
from fer_tune.run_folder import RunFolder

_NOT_SETTINGS = ("backbone", "epochs", "seed")  # the new search's own


def runs_in(place: Path | str) -> list[Path]:
    """Return the runs in a folder, by name; none where it is a run itself, or no folder of this machine."""
    folder = Path(place).expanduser()
    if as_uri(place) or (folder / SETTINGS).is_file():
        return []
    return sorted(file.parent for file in folder.glob(f"*/{SETTINGS}"))


def ended_well(run: RunFolder, aim: Aim) -> list[tuple[dict[str, Any], float]]:
    """Return the trials that have a value and did not fail, each with its best, more is better; the best first."""
    rows = read_table(run.trials_file).to_pylist() if run.trials_file.is_file() else []
    best = {row["trial_id"]: aim.key(row[aim.column]) for row in rows} | _best_epochs(run, aim)
    rows = [row for row in rows if row["status"] not in ("failed", TOO_LARGE) and math.isfinite(best[row["trial_id"]])]
    return sorted(((row, best[row["trial_id"]]) for row in rows), key=lambda each: each[1], reverse=True)


def settings_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a trial was trained with, but for what is the new search's own."""
    settings = {name.removeprefix("config."): value for name, value in row.items() if name.startswith("config.")}
    # None stands for a setting that this trial did not have, and for the default of those that may be None.
    return {name: value for name, value in settings.items() if value is not None and name not in _NOT_SETTINGS}


def _best_epochs(run: RunFolder, aim: Aim) -> dict[str, float]:
    """Return trial id -> the value of its best epoch, more is better."""
    best: dict[str, float] = {}
    if run.epochs_file.is_file():
        for row in read_table(run.epochs_file).to_pylist():
            best[row["trial_id"]] = max(best.get(row["trial_id"], -math.inf), aim.key(row[aim.column]))
    return best
