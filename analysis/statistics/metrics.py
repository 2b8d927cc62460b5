"""Classification metrics as functions of confusion matrices, so that one resampling serves them all.

Every function takes counts or weights of shape (..., C, C), rows the true class and columns the predicted one, and
works over any leading axes (seeds, resamples).  A class without support, or never predicted, counts as 0 where a
ratio would be 0 / 0, as scikit-learn does with ``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def confusion_matrix(labels: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Count images by true and predicted class.

    Args:
        labels: (N,) integers in [0, classes).
        predicted: (N,) integers in [0, classes).
        classes: number of classes C.

    Returns:
        (C, C) counts; rows are the true classes.
    """
    flat = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def _ratio(over: Array, under: Array) -> Array:
    return np.divide(over, under, out=np.zeros(np.broadcast_shapes(over.shape, under.shape)), where=under > 0)


def _diagonal(confusion: NDArray[Any]) -> Array:
    return np.asarray(np.diagonal(confusion, axis1=-2, axis2=-1), dtype=np.float64)


def accuracy(confusion: NDArray[Any]) -> Array:
    """Return the share of images predicted right, shape (...,)."""
    return _ratio(_diagonal(confusion).sum(-1), np.asarray(confusion, dtype=np.float64).sum((-2, -1)))


def recall(confusion: NDArray[Any]) -> Array:
    """Return per class the share of its images that was found, shape (..., C)."""
    return _ratio(_diagonal(confusion), np.asarray(confusion, dtype=np.float64).sum(-1))


def precision(confusion: NDArray[Any]) -> Array:
    """Return per class the share of its predictions that was right, shape (..., C)."""
    return _ratio(_diagonal(confusion), np.asarray(confusion, dtype=np.float64).sum(-2))


def f1(confusion: NDArray[Any]) -> Array:
    """Return per class the harmonic mean of precision and recall, shape (..., C)."""
    counts = np.asarray(confusion, dtype=np.float64)
    return _ratio(2 * _diagonal(counts), counts.sum(-1) + counts.sum(-2))


def balanced_accuracy(confusion: NDArray[Any]) -> Array:
    """Return the mean recall over the classes that have images, shape (...,)."""
    present = np.asarray(confusion, dtype=np.float64).sum(-1) > 0
    return _ratio((recall(confusion) * present).sum(-1), present.sum(-1).astype(np.float64))


def macro_f1(confusion: NDArray[Any]) -> Array:
    """Return the mean F1 over the classes that occur, as a label or as a prediction, shape (...,)."""
    return macro(f1(confusion), confusion)


def specificity(confusion: NDArray[Any]) -> Array:
    """Return per class the share of the other classes' images that was not taken for it, shape (..., C)."""
    counts = np.asarray(confusion, dtype=np.float64)
    right = _diagonal(counts)
    others = counts.sum((-2, -1))[..., None] - counts.sum(-1)
    return _ratio(others - (counts.sum(-2) - right), others)


def macro(per_class: NDArray[Any], confusion: NDArray[Any]) -> Array:
    """Return the mean of (..., C) scores over the classes that occur, as a label or as a prediction, shape (...,)."""
    counts = np.asarray(confusion, dtype=np.float64)
    present = counts.sum(-1) + counts.sum(-2) > 0
    return _ratio((per_class * present).sum(-1), present.sum(-1).astype(np.float64))


def weighted(per_class: NDArray[Any], confusion: NDArray[Any]) -> Array:
    """Return the mean of (..., C) scores weighted by the images of each class, shape (...,)."""
    support = np.asarray(confusion, dtype=np.float64).sum(-1)
    return _ratio((per_class * support).sum(-1), support.sum(-1))


AVERAGED: dict[str, Callable[[NDArray[Any]], Array]] = {
    "macro_precision": lambda counts: macro(precision(counts), counts),
    "macro_recall": lambda counts: macro(recall(counts), counts),
    "macro_specificity": lambda counts: macro(specificity(counts), counts),
    "weighted_precision": lambda counts: weighted(precision(counts), counts),
    "weighted_recall": lambda counts: weighted(recall(counts), counts),
    "weighted_specificity": lambda counts: weighted(specificity(counts), counts),
    "weighted_f1": lambda counts: weighted(f1(counts), counts),
}
"""Averages over classes, by name: each takes (..., C, C) confusions and returns shape (...,)."""
