"""What a search may be for: one entry an objective, read by training, the search, its record and its report.

To add one: its name in `Judged` or `Costs`, its entry in `OBJECTIVES`.  One by which trials are judged is a metric of
every epoch (`run_folder.METRICS`); one that has to be measured is a value of that column in
:func:`fer_tune.training.probing.footprint.footprint`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Judged = Literal["val_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_loss"]
"""What trials can be judged by: a metric on validation after every epoch.  The search improves it, its best epoch is
kept, and early stopping, a target and the choice of what is refitted and tested go by it."""

Costs = Literal["seconds", "latency", "parameters"]
"""What can be kept low beside that."""

Objective = Literal[
    "val_accuracy", "val_balanced_accuracy", "val_macro_f1", "val_loss", "seconds", "latency", "parameters"
]


@dataclass(frozen=True)
class Aim:
    """How an objective is kept, compared and told.

    Attributes:
        column: of trials.parquet; of what trials are judged by, that of the best epoch.
        head: of a table's column.
        meaning: in words, with the unit where it is not a share.
        changed_by: settings that change it besides the backbone itself; None: nearly every one.
        measured: it is measured once per trial, by `training.footprint`, where a search is for it.
        whole: it is a whole number.
        maximise: more is better; else less is.
        share: it lies in [0, 1] and is told in per cent.
    """

    column: str
    head: str
    meaning: str
    changed_by: tuple[str, ...] | None = None
    measured: bool = False
    whole: bool = False
    maximise: bool = False
    share: bool = False

    @property
    def best(self) -> str:
        """Key of the best value so far in what trials report."""
        return f"best_{self.column}"

    @property
    def scale(self) -> float:
        """What a value is multiplied by where it is drawn."""
        return 100.0 if self.share else 1.0

    @property
    def title(self) -> str:
        """The meaning, to begin a sentence with."""
        return self.meaning[0].upper() + self.meaning[1:]

    @property
    def label(self) -> str:
        """Of an axis, with the unit."""
        return f"{self.meaning} (%)" if self.share else self.meaning

    def signed(self, value: float) -> float:
        """Return ``value`` so that more is better; NaN stays."""
        return value if self.maximise else -value

    def key(self, value: float | None) -> float:
        """Return what values sort by, the worst first; what is no number is the worst."""
        return -math.inf if value is None or math.isnan(value) else self.signed(value)

    def better(self, value: float, other: float) -> bool:
        """Whether ``value`` is better than ``other``; anything is better than what is no number."""
        return self.key(value) > self.key(other)

    def reaches(self, value: float, target: float) -> bool:
        """Whether ``value`` is as good as ``target``."""
        return self.key(value) >= self.key(target)

    def text(self, value: float | None) -> str:
        """Return a value for people, with its unit.

        >>> OBJECTIVES["val_macro_f1"].text(0.6123), OBJECTIVES["val_loss"].text(1.04234)
        ('61.23 %', '1.0423')
        """
        if value is None:
            return "-"
        return f"{100 * value:.2f} %" if self.share else f"{value:.4f}"


def _rate(name: Judged, head: str, meaning: str) -> Aim:
    return Aim(name, head, f"validation {meaning}", maximise=True, share=True)


OBJECTIVES: dict[Objective, Aim] = {
    "val_accuracy": _rate("val_accuracy", "val acc", "accuracy"),
    "val_balanced_accuracy": _rate("val_balanced_accuracy", "val bal acc", "balanced accuracy"),
    "val_macro_f1": _rate("val_macro_f1", "val macro F1", "macro F1"),
    "val_loss": Aim("val_loss", "val loss", "validation loss"),  # in nats, without smoothing or class weights
    "seconds": Aim("epoch_seconds", "s/epoch", "median seconds of an epoch"),
    "latency": Aim("latency_ms", "ms/image", "milliseconds to classify one image", ("image_size",), measured=True),
    "parameters": Aim("parameters", "parameters", "parameters of the network", (), measured=True, whole=True),
}

JUDGED: tuple[Judged, ...] = get_args(Judged)

ACCURACY = OBJECTIVES["val_accuracy"]
"""What trials are judged by unless something else is asked for."""


def aim_of(objectives: Sequence[Objective]) -> Aim:
    """Return what the trials of a search are judged by: the first of its objectives."""
    return OBJECTIVES[objectives[0]]
