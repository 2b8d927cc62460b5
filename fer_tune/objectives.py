"""What a search may be for: one entry an objective, read by the search, its record and its report.

To add one: its name in `Objective`, its entry in `OBJECTIVES`; where it has to be measured, a value of that column in
:func:`fer_tune.training.footprint.footprint`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["val_accuracy", "seconds", "latency", "parameters"]


@dataclass(frozen=True)
class Aim:
    """How an objective is kept and told; all but validation accuracy are to be small.

    Attributes:
        column: of trials.parquet.
        head: of a table's column.
        meaning: in words, with the unit.
        changed_by: settings that change it besides the backbone itself; None: nearly every one.
        measured: it is measured once per trial, by `training.footprint`, where a search is for it.
        whole: it is a whole number.
    """

    column: str
    head: str
    meaning: str
    changed_by: tuple[str, ...] | None = None
    measured: bool = False
    whole: bool = False


OBJECTIVES: dict[Objective, Aim] = {
    "val_accuracy": Aim("best_val_accuracy", "val acc", "best validation accuracy"),
    "seconds": Aim("epoch_seconds", "s/epoch", "median seconds of an epoch"),
    "latency": Aim("latency_ms", "ms/image", "milliseconds to classify one image", ("image_size",), measured=True),
    "parameters": Aim("parameters", "parameters", "parameters of the network", (), measured=True, whole=True),
}

METRIC = OBJECTIVES["val_accuracy"].column
"""What trials report and a search maximises: the best validation accuracy so far, in [0, 1]."""
