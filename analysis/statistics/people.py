"""Intervals that count people: who is shown is drawn anew, with all of their images.

Images of one person are alike, so that a hundred images of ten people tell about as much of other people as ten do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from analysis.statistics.intervals import RESAMPLES, Array, Metric


def confusions_of_people(
    labels: NDArray[Any], predicted: NDArray[Any], people: list[str], classes: int
) -> NDArray[np.float64]:
    """Count the images of each person by true and predicted class, mean over seeds.

    Args:
        labels: (N,) integer classes.
        predicted: (S, N) integer classes, a row per seed.
        people: N names.
        classes: number of classes C.

    Returns:
        (G, C, C) float64, the people in the order of their names.
    """
    names, owner = np.unique(np.asarray(people), return_inverse=True)
    cells = owner * classes + labels  # a person's true class as one of G * C
    found = np.zeros((len(names) * classes, classes))
    for row in predicted:
        flat = np.bincount(cells * classes + row, minlength=found.size)
        found += flat.reshape(found.shape)
    return found.reshape(len(names), classes, classes) / len(predicted)


def over_people(
    metric: Metric, confusions: NDArray[np.float64], *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> tuple[Array, Array, Array]:
    """Return a metric of all people together with an interval for other people of the same kind.

    People are drawn with replacement. With few of them a percentile interval is too narrow; so its quantiles are those
    of Hesterberg's expanded one, which for a mean is as wide as Student's (2015, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69:371).

    Args:
        metric: of confusions, see `analysis.statistics.metrics`; where it is NaN, a resample is left out.
        confusions: (G, C, C), of G people, two or more.
        resamples: draws of people.
        seed: of the draws.
        level: of the interval.

    Returns:
        (estimate, low, high), each of the metric's shape.
    """
    people = len(confusions)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(people, np.full(people, 1 / people), resamples).astype(float)  # (B, G)
    values = metric(np.tensordot(drawn, confusions, axes=1))
    tail = float(ndtr(-np.sqrt(people / (people - 1)) * stdtrit(people - 1, 0.5 + level / 2)))
    low, high = np.nanquantile(values, [tail, 1 - tail], axis=0)
    return metric(confusions.sum(0)), low, high


def recall_where_seen(confusion: NDArray[Any]) -> Array:
    """Return the recall of each class, NaN where it has no image, shape (..., C)."""
    counts = np.asarray(confusion, dtype=np.float64)
    support = counts.sum(-1)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    found: Array = np.divide(right, support, out=np.full(support.shape, np.nan), where=support > 0)
    return found
