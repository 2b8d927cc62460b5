"""How well one order of some items foretells another: Spearman's rank correlation with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats takes seconds to import

from analysis.statistics.uncertainty.intervals import Interval

FEWEST = 20
"""Items from which on the interval holds the truth in 94 % of the cases or more, also where some fail utterly."""

_NEAR_ONE = 1 - 1e-4  # Fisher's z of 1 is infinite


def rank_correlation(first: NDArray[Any], second: NDArray[Any], level: float = 0.95) -> Interval | None:
    """Return Spearman's rank correlation of two values of the same items; None with fewer than `FEWEST`, or all equal.

    The interval is a jackknife of Fisher's z over the items, with Student's t: the known formulas assume a normal
    distribution, and cover 89 % where a fifth of the items fails in both orders (`tests/analysis/simulation.py`).

    Args:
        first, second: (N,) values; items are those of one sample, drawn independently.
        level: confidence level.
    """
    count = len(first)
    if count < FEWEST:
        return None
    both = np.stack([first, second]).astype(float)
    seen = _spearman(both)
    if seen is None:
        return None
    without = [_spearman(np.delete(both, item, axis=1)) for item in range(count)]
    z = np.arctanh([seen if each is None else each for each in without])
    error = np.sqrt((count - 1) / count * ((z - z.mean()) ** 2).sum())
    half = float(stdtrit(count - 1, 0.5 + level / 2) * error)
    centre = float(np.arctanh(seen))
    return Interval(seen, float(np.tanh(centre - half)), float(np.tanh(centre + half)), level)


def _spearman(both: NDArray[Any]) -> float | None:
    from scipy.stats import rankdata

    ranks = rankdata(both, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return None if size == 0 else float(np.clip((ranks[0] * ranks[1]).sum() / size, -_NEAR_ONE, _NEAR_ONE))
