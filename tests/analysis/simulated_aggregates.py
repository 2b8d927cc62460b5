"""Made-up contenders with few seeds on few datasets: how often the aggregates' intervals hold the truth."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from analysis.statistics.comparing.aggregates import improvement, interquartile_mean, mean_of_middle

KINDS = [(datasets, seeds, uneven) for datasets in (1, 2, 4) for seeds in (3, 5, 10) for uneven in (False, True)]
"""Datasets, seeds of each, and whether the datasets differ in what the seeds vary by."""


def coverage(
    datasets: int, seeds: int, uneven: bool, count: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return how often the interval of the interquartile mean holds the truth, how often a bootstrap's percentiles
    would, and how often that of the probability of improvement does.
    """
    level = np.linspace(0.5, 0.7, datasets)[:, None]
    spread = (np.linspace(0.005, 0.04, datasets) if uneven else np.full(datasets, 0.02))[:, None]
    drawn = level + spread * rng.standard_normal((20_000, datasets, seeds))
    truth = float(interquartile_mean(drawn.reshape(20_000, -1)).mean())  # where seeds are few, of no whole quarters
    ahead = 0.5 + 0.5 * float(np.mean(erf(0.01 / (2 * spread))))
    rows = []
    for _ in range(count):
        scores = level + spread * rng.standard_normal((datasets, seeds))
        other = level - 0.01 + spread * rng.standard_normal((datasets, seeds))
        found = mean_of_middle(scores, int(rng.integers(2**31)), resamples=400)
        places = rng.integers(0, seeds, (400, datasets, seeds))
        plain = interquartile_mean(np.take_along_axis(scores[None], places, axis=2).reshape(400, -1))
        low, high = np.quantile(plain, [0.025, 0.975])
        better = improvement(scores, other)
        rows.append((found.low <= truth <= found.high, low <= truth <= high, better.low <= ahead <= better.high))
    a, b, c = np.mean(rows, axis=0)
    return float(a), float(b), float(c)


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    for datasets, seeds, uneven in KINDS:
        own, plain, better = coverage(datasets, seeds, uneven, count, rng)
        print(
            f"{datasets} datasets, {seeds:2d} seeds, {'un' if uneven else ''}even: interquartile mean covered in "
            f"{100 * own:.1f} % (percentiles alone {100 * plain:.1f} %), the probability of improvement in "
            f"{100 * better:.1f} %"
        )
