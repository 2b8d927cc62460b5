"""Metrics of predicted probabilities, for many weightings of the images at once, so that one resampling serves all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.uncertainty.sampling import Sampling
from analysis.statistics.uncertainty.spread import Spread

Array = NDArray[np.float64]

BINS = 15
"""Of equal width, where confidence is drawn: as in Guo et al., On Calibration of Modern Neural Networks, ICML 2017."""


def probability_metrics(labels: NDArray[Any], probabilities: NDArray[Any], weights: NDArray[Any]) -> dict[str, Array]:
    """Return the metrics for each row of weights.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C), a block per seed.
        weights: (B, N) times that each image counts; a row of ones is the images themselves.

    Returns:
        ``auc`` (B, S, C): each class against the rest, ties counting half; 0.5 where a weighting has no image of the
        class, or no other.  ``macro_auc`` and ``weighted_auc`` (B, S): over the classes that occur in ``labels``
        beside others, alike or by their images.  ``log_loss`` (B, S) in nats.  ``brier`` (B, S): the mean
        squared distance of the probabilities from the truth, in [0, 2] (Brier, Mon. Weather Rev. 78, 1950); at its
        least, and in its mean over images without bias, where they are right.
    """
    seeds, _, classes = probabilities.shape
    support = np.bincount(labels, minlength=classes)
    scored = (support > 0) & (support < len(labels))
    auc = np.full((len(weights), seeds, classes), 0.5)
    for seed in range(seeds):
        for label in np.flatnonzero(scored):
            auc[:, seed, label] = _auc(probabilities[seed, :, label], labels == label, weights)
    total = weights.sum(1, dtype=np.float64)[:, None]
    shares = np.where(scored, support, 0) / max(1, support[scored].sum())
    return {
        "auc": auc,
        "macro_auc": auc[:, :, scored].mean(-1) if scored.any() else np.full((len(weights), seeds), 0.5),
        "weighted_auc": auc @ shares,
        "log_loss": weights @ losses(labels, probabilities).T / total,
        "brier": weights @ squares(labels, probabilities).T / total,
    }


def _auc(scores: NDArray[Any], positive: NDArray[np.bool_], weights: NDArray[Any]) -> Array:
    """Return the area under the ROC curve for each row of weights: how often a positive outranks a negative."""
    order = np.argsort(scores, kind="stable")
    sorted_weights, own = weights[:, order], positive[order]
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)  # NaN differs from everything: the first too
    if len(starts) == len(order):
        found, others = sorted_weights[:, own], sorted_weights * ~own
        below = np.cumsum(others, axis=1)[:, own]
    else:  # ties: one column per distinct score
        found = np.add.reduceat(sorted_weights * own, starts, axis=1)
        others = np.add.reduceat(sorted_weights * ~own, starts, axis=1)
        below = np.cumsum(others, axis=1) - 0.5 * others
    wins = np.einsum("bg,bg->b", found, below, dtype=np.float64)
    pairs = found.sum(1, dtype=np.float64) * others.sum(1, dtype=np.float64)
    areas: Array = np.divide(wins, pairs, out=np.full(len(weights), 0.5), where=pairs > 0)
    return areas


def losses(labels: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[Any]:
    """Return the (S, N) losses of the images; probabilities are kept off 0 and 1 as scikit-learn does for float32."""
    limit = np.finfo(np.float32).eps
    own = np.take_along_axis(probabilities, np.broadcast_to(labels, probabilities.shape[:2])[..., None], axis=-1)
    return -np.log(np.clip(own[..., 0].astype(np.float64), limit, 1 - limit))


def squares(labels: NDArray[Any], probabilities: NDArray[Any]) -> NDArray[Any]:
    """Return the (S, N) squared distances from the truth, summed over classes."""
    truth = np.eye(probabilities.shape[-1])[labels]
    found: NDArray[Any] = ((probabilities - truth) ** 2).sum(-1)
    return found


def mean_spread(values: NDArray[Any], sampling: Sampling) -> Spread:
    """Return what is known of the mean of (S, N) values of the images, a row per seed, such as their losses."""
    blocks = [weights @ values.T / weights.sum(1, keepdims=True) for weights in sampling.weights()]
    return sampling.spread(values.mean(1), np.concatenate(blocks))


def confidence_gaps(labels: NDArray[Any], probabilities: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return for each seed and image the confidence less the outcome (1 right, 0 wrong), and the confidence's bin.

    Returns:
        Both (S, N); bins in [0, BINS), each open below and closed above.
    """
    confidence = probabilities.max(-1)
    right = probabilities.argmax(-1) == labels
    bins = np.clip(np.ceil(confidence.astype(np.float64) * BINS) - 1, 0, BINS - 1).astype(np.int64)
    return confidence - right, bins
