"""What choosing the best of many promises too much, and how the best of some stand against the best of others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats takes seconds to import

from analysis.statistics.uncertainty.intervals import Interval


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


def best_against_best(first: list[list[float]], second: list[list[float]], level: float = 0.95) -> Interval | None:
    """Return how much better the best of some configurations is than the best of others; None where seeds are too few.

    The best of each is picked by the means that it is judged by.  So the intervals of all differences between one of
    the first and one of the second hold at once (Bonferroni, Student's t with the variance of all seeds together), and
    whichever are the best, theirs is among them.

    Args:
        first, second: the values of the seeds of each configuration; more is better.
        level: confidence level.
    """
    groups = [np.asarray(values, dtype=float) for values in (*first, *second)]
    freedom = sum(len(values) - 1 for values in groups)
    if not first or not second or freedom < 1 or any(len(values) == 0 for values in groups):
        return None
    variance = sum(float(((values - values.mean()) ** 2).sum()) for values in groups) / freedom
    pairs = len(first) * len(second)
    quantile = float(stdtrit(freedom, 1 - (1 - level) / (2 * pairs)))
    own, other = groups[: len(first)], groups[len(first) :]
    gaps = np.array([[a.mean() - b.mean() for b in other] for a in own])
    halves = quantile * np.sqrt(variance * np.array([[1 / len(a) + 1 / len(b) for b in other] for a in own]))
    low, high = float((gaps - halves).min(1).max()), float((gaps + halves).min(1).max())
    return Interval(float(gaps.min(1).max()), low, high, level)
