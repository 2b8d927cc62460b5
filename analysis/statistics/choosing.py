"""What choosing the best of many promises too much: the choice made again without each seed, which then judges it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats takes seconds to import

from analysis.statistics.intervals import Interval


def luck_of_choosing(searched: NDArray[Any], refits: NDArray[Any], level: float = 0.95) -> Interval | None:
    """Return how much less the chosen configuration reaches than its trial in the search had; None with one seed.

    The winner's own mean flatters it a second time, as it was chosen by that: what is judged by must have no part in
    the choice.  So each seed in turn judges the configuration that the others choose.  The estimates of the seeds
    depend on each other; the interval takes the greater of their variance and that of the seeds within
    configurations, with the degrees of freedom of the first: it covers 95 to 100 % (`tests/analysis/test_choosing.py`).

    Args:
        searched: (K,) what each refitted configuration had in the search, more is better.
        refits: (K, S) what it has with new seeds.
        level: confidence level.
    """
    _, seeds = refits.shape
    if seeds < 2:
        return None
    each = np.empty(seeds)
    for seed in range(seeds):
        chosen = int(np.delete(refits, seed, axis=1).mean(1).argmax())
        each[seed] = searched[chosen] - refits[chosen, seed]
    variance = max(each.var(ddof=1), refits.var(axis=1, ddof=1).mean())
    half = float(stdtrit(seeds - 1, 0.5 + level / 2) * np.sqrt(variance / seeds))
    mean = float(each.mean())
    return Interval(mean, mean - half, mean + half, level)
