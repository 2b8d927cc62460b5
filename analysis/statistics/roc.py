"""ROC curves of the classes, each against the rest: the mean over seeds, whose area is the mean of the areas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GRID = np.linspace(0, 1, 201)
"""Where the curves of the seeds are averaged: half a point apart, finer than a figure shows."""


@dataclass(frozen=True)
class Roc:
    """The ROC curve of one class against the rest.

    Attributes:
        name: of the class.
        area: under the curve, mean over the seeds: what a table of the classes gives as their AUC.
        wrong: (K,) shares of other classes' images that are taken for it.
        found: (K,) shares of its own images that are found, mean over the seeds (Fawcett, Pattern Recognit. Lett. 27,
            2006, "vertical averaging").
    """

    name: str
    area: float
    wrong: NDArray[Any]
    found: NDArray[Any]


def roc_curves(labels: NDArray[Any], probabilities: NDArray[Any], classes: list[str]) -> list[Roc]:
    """Return the curve of every class that some images are of and some are not, the largest area first.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C).
        classes: the C names.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    curves = []
    for index, name in enumerate(classes):
        own = labels == index
        if not 0 < own.sum() < len(own):
            continue
        seeds = [roc_curve(own, each[:, index]) for each in probabilities]
        found = np.mean([np.interp(_GRID, wrong, share) for wrong, share, _ in seeds], axis=0)
        area = float(np.mean([roc_auc_score(own, each[:, index]) for each in probabilities]))
        # From the corner on: at no wrong image some are found already, which the mean above begins with.
        curves.append(Roc(name, area, np.r_[0.0, _GRID], np.r_[0.0, found]))
    return sorted(curves, key=lambda curve: -curve.area)
