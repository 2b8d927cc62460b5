"""Several contenders with several seeds, on one dataset or on many: the aggregates of rliable.

Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice (NeurIPS 2021, arXiv 2108.13264),
for scores of seeds (their runs) by dataset (their tasks): the interquartile mean, which no single lucky seed moves; the
probability that a seed of one contender does better than one of another; performance profiles.  The datasets and their
test images are taken as they are: intervals are for new seeds alone.

Their intervals are percentiles of a stratified bootstrap.  With the three to five seeds that are usual here these cover
71 to 90 % (`tests/analysis/simulation.py`).  So the interquartile mean has the standard error of that bootstrap, made
larger by the root of S / (S - 1), which resampling S seeds leaves out (Hesterberg, American Statistician 69:371, 2015),
and Student's t with S - 1 degrees of freedom: one dataset's seeds may vary more than all others'.  Shares of seeds have
Wilson's interval of as many seeds, where a bootstrap takes for certain what all seeds agree on; it errs to the side of
caution, as the variance of such a share is at most that of as many coins (Birnbaum & Klose, Annals of Mathematical
Statistics 28, 1957).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats takes seconds to import

from analysis.statistics.uncertainty.intervals import Interval, wilson

Array = NDArray[np.float64]

FEWEST = 3
"""Seeds of a contender on a dataset, the fewest that were simulated: of two, resampling knows four orders."""

RESAMPLES = 2000
LEVEL = 0.95
_STEPS = 101  # places at which a profile is told


@dataclass(frozen=True)
class Improvement:
    """How probable it is that a seed of ``first`` does better than one of ``second``, ties by half."""

    first: str
    second: str
    probability: Interval


@dataclass(frozen=True)
class Profile:
    """Share of the seeds, over all datasets, that score more than each threshold."""

    name: str
    share: Array  # (T,), as the bounds
    low: Array
    high: Array


@dataclass(frozen=True)
class Aggregates:
    """What several contenders come to over all datasets.

    Attributes:
        names: of the contenders, the best interquartile mean first.
        means: of each, in this order.
        improvements: of every pair, the better interquartile mean first.
        thresholds: (T,) scores at which the profiles are told.
        profiles: of each contender.
        datasets: how many there are.
        seeds: of each contender on each dataset.
    """

    names: list[str]
    means: list[Interval]
    improvements: list[Improvement]
    thresholds: Array
    profiles: list[Profile]
    datasets: int
    seeds: list[int]


def interquartile_mean(scores: NDArray[Any]) -> Array:
    """Return the mean of the middle half of (..., N) values, a quarter cut from each end, rounded down.

    >>> float(interquartile_mean(np.array([0.1, 0.5, 0.7, 0.9])))
    0.6
    """
    ordered = np.sort(scores, axis=-1)
    cut = int(0.25 * ordered.shape[-1])
    found: Array = ordered[..., cut : ordered.shape[-1] - cut].mean(-1)
    return found


def mean_of_middle(scores: NDArray[Any], rng_seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Return the interquartile mean of (D, S) scores, a row of seeds for each dataset, for new seeds.

    Args:
        scores: D datasets, S seeds.
        rng_seed: makes the interval reproducible.
        resamples: of the bootstrap; seeds are drawn within each dataset.
    """
    datasets, seeds = scores.shape
    value = float(interquartile_mean(scores.reshape(-1)))
    places = np.random.default_rng(rng_seed).integers(0, seeds, (resamples, datasets, seeds))
    drawn = interquartile_mean(np.take_along_axis(scores[None], places, axis=2).reshape(resamples, -1))
    error = float(drawn.std(ddof=1)) * math.sqrt(seeds / (seeds - 1))
    half = float(stdtrit(seeds - 1, 0.5 + LEVEL / 2)) * error
    return Interval(value, value - half, value + half, LEVEL)


def improvement(first: NDArray[Any], second: NDArray[Any]) -> Interval:
    """Return how probable it is that a seed of ``first`` scores more than one of ``second``, over all datasets.

    Args:
        first, second: (D, S) and (D, S'), rows of the same datasets.
    """
    more = (first[:, :, None] > second[:, None, :]) + 0.5 * (first[:, :, None] == second[:, None, :])
    coins = len(first) * min(first.shape[1], second.shape[1])
    return wilson(float(more.mean()) * coins, coins, LEVEL)


def aggregate(scores: dict[str, NDArray[Any]]) -> Aggregates:
    """Return the aggregates of several contenders.

    Args:
        scores: of each by its name: (D, S), a row of `FEWEST` seeds or more for each dataset, the same for all.

    >>> scores = {"old": np.array([[0.60, 0.61, 0.62]]), "new": np.array([[0.70, 0.71, 0.72]])}
    >>> found = aggregate(scores)
    >>> found.names, found.improvements[0].first, found.improvements[0].probability.estimate
    (['new', 'old'], 'new', 1.0)
    """
    means = {name: mean_of_middle(own) for name, own in scores.items()}
    names = sorted(scores, key=lambda name: -means[name].estimate)
    every = np.concatenate([own.reshape(-1) for own in scores.values()])
    room = 0.05 * (float(np.ptp(every)) or 0.01)
    thresholds = np.linspace(every.min() - room, every.max() + room, _STEPS)
    return Aggregates(
        names=names,
        means=[means[name] for name in names],
        improvements=[Improvement(a, b, improvement(scores[a], scores[b])) for a, b in combinations(names, 2)],
        thresholds=thresholds,
        profiles=[_profile(name, scores[name], thresholds) for name in names],
        datasets=len(scores[names[0]]),
        seeds=[scores[name].shape[1] for name in names],
    )


def _profile(name: str, scores: NDArray[Any], thresholds: Array) -> Profile:
    above = (scores.reshape(-1)[None] > thresholds[:, None]).sum(1)
    bounds = [wilson(int(count), scores.size, LEVEL) for count in above]
    return Profile(
        name, above / scores.size, np.array([each.low for each in bounds]), np.array([each.high for each in bounds])
    )
