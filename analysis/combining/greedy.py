"""Which of many models to average, and with which shares: greedy selection with replacement.

Caruana, Niculescu-Mizil, Crew & Ksikes, Ensemble Selection from Libraries of Models, ICML 2004; as AutoGluon does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.combining.judging import Judge

ROUNDS = 25
"""Models that are added one after the other, so that shares go in steps of 4 % at the least."""


def greedy_shares(library: NDArray[Any], judge: Judge, rounds: int = ROUNDS) -> NDArray[np.float64]:
    """Return (M,) shares, which sum to 1: of the best of the ensembles that grow by the model that helps most.

    Where two help as much (accuracies are counts), the one with the smaller log loss is taken.

    Args:
        library: (M, N, C) probabilities of M models.
        judge: of those N images.
        rounds: how often a model is added; one may be added again.

    >>> from fer_tune.objectives import ACCURACY
    >>> labels = np.array([0, 0, 1, 1])
    >>> right, wrong = np.eye(2)[labels], np.eye(2)[1 - labels]
    >>> greedy_shares(np.stack([wrong, right]), Judge(ACCURACY, labels, None)).tolist()
    [0.0, 1.0]
    """
    total = np.zeros_like(library[0])
    counts = np.zeros(len(library))
    best, kept = (-np.inf, -np.inf), counts
    for size in range(1, rounds + 1):
        grown = total + library
        grown /= size
        values = judge.values(grown)
        helpful = np.flatnonzero(values == values.max())
        losses = judge.losses(grown[helpful])
        added = helpful[losses.argmin()]
        total += library[added]
        counts = counts.copy()
        counts[added] += 1
        key = (float(values[added]), -float(losses.min()))
        if key > best:
            best, kept = key, counts
    shares: NDArray[np.float64] = kept / kept.sum()
    return shares
