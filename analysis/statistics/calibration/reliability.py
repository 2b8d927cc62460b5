"""Reliability curves: how often answers are right, by how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.calibration.probabilistic import BINS, confidence_gaps
from analysis.statistics.calibration.temperature import scaled_seeds


@dataclass(frozen=True)
class Reliability:
    """The curve of the predictions of all seeds together, in `BINS` bins of the confidence.

    Attributes:
        label: what the probabilities are, in words.
        confidence: (K,) mean confidence in each bin that has predictions.
        accuracy: (K,) share of them that are right.
        counts: (K,) how many there are.
        shares: (`BINS`,) of all predictions, in every bin.
    """

    label: str
    confidence: NDArray[Any]
    accuracy: NDArray[Any]
    counts: NDArray[Any]
    shares: NDArray[Any]


def reliability_curves(
    labels: NDArray[Any], probabilities: NDArray[Any], temperatures: list[float] | None
) -> list[Reliability]:
    """Return the curve of (S, N, C) probabilities for (N,) labels, then with the seeds' temperatures, if there are."""
    curves = [_curve(labels, probabilities, "as the models say")]
    if temperatures is not None:
        curves.append(_curve(labels, scaled_seeds(probabilities, temperatures), "with their temperatures"))
    return curves


def _curve(labels: NDArray[Any], probabilities: NDArray[Any], label: str) -> Reliability:
    gaps, bins = confidence_gaps(labels, probabilities)
    right = (probabilities.argmax(-1) == labels).ravel()
    counts = np.bincount(bins.ravel(), minlength=BINS)
    filled = counts > 0
    accuracy, confidence = (
        np.bincount(bins.ravel(), values, BINS)[filled] / counts[filled] for values in (right, gaps.ravel() + right)
    )
    return Reliability(label, confidence, accuracy, counts[filled], counts / counts.sum())
