"""Reliability curves: how often answers are right, by how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.calibration.probabilistic import BINS, confidence_gaps
from analysis.statistics.calibration.temperature import scaled_seeds
from analysis.statistics.uncertainty.intervals import wilson


@dataclass(frozen=True)
class Reliability:
    """The curve of the predictions of all seeds together, in `BINS` bins of the confidence.

    Attributes:
        label: what the probabilities are, in words.
        confidence: (K,) mean confidence in each bin that has predictions.
        accuracy: (K,) share of them that are right.
        low: (K,) lower bound of Wilson's 95 % interval of the accuracy, for as many images as one seed has in the bin
            on average: the seeds answer for the same images, so that together they tell little more.
        high: (K,) upper bound of it.
        counts: (K,) how many there are.
        shares: (`BINS`,) of all predictions, in every bin.
    """

    label: str
    confidence: NDArray[Any]
    accuracy: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
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
    images = counts[filled] / len(probabilities)
    bounds = [wilson(share * number, number) for share, number in zip(accuracy, images, strict=True)]
    low, high = np.array([(each.low, each.high) for each in bounds]).T
    return Reliability(label, confidence, accuracy, low, high, counts[filled], counts / counts.sum())
