"""How far the best and the worst group of images lie apart, and how bad the worst is, although they were picked.

The largest of many differences flatters itself, and the smallest of many accuracies runs itself down: ten groups that
do equally well differ by chance.  So the bounds hold for the extremes, whichever groups these are in truth:

- A gap is at least what every pair together shows: intervals of all differences at once, Tukey's (Biometrics 5, 1949,
  with Kramer's form for unequal sizes, Biometrics 12, 1956, which errs to the side of caution: Hayter, Annals of
  Statistics 12, 1984).  It is at most the largest upper bound of a single pair: only the one true pair has to hold.
- The worst group is at most the smallest of all upper bounds at once (Sidak), at least the smallest single lower one.

The bounds of each group are Wilson's for as many images as would leave it as uncertain as its images and its seeds do;
those of a difference are put together from them (Newcombe's method 10, Statistics in Medicine 17:873, 1998).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # scipy.stats takes seconds to import

from analysis.results import ALPHA, GroupGap

Array = NDArray[np.float64]

FEWEST = 10
"""Images of a group that counts here: with fewer its bounds are as wide as the scale (`tests/analysis/simulation.py`
holds them from ten on)."""

_DRAWS = 1000  # of what chance alone would show: its mean is then good to a hundredth of itself


def group_gap(labels: NDArray[Any], probabilities: NDArray[Any], groups: list[str]) -> GroupGap | None:
    """Return worst group and gap, for new images of these groups and new seeds; None without two groups to compare.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C), a block per seed.
        groups: N names; groups of fewer than `FEWEST` images are left out.

    >>> labels, groups = np.zeros(200, dtype=int), ["first"] * 100 + ["second"] * 100
    >>> right = np.r_[np.arange(100) < 90, np.arange(100) < 60]
    >>> found = group_gap(labels, np.eye(2)[1 - right.astype(int)][None], groups)
    >>> found.worst, round(found.gap, 2), round(found.gap_low, 2), round(found.gap_high, 2)
    ('second', 0.3, 0.17, 0.41)
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    codes = codes.reshape(-1)
    kept = np.flatnonzero(np.bincount(codes) >= FEWEST)
    if len(kept) < 2:
        return None
    place = np.full(len(names), -1)
    place[kept] = np.arange(len(kept))
    own = place[codes] >= 0
    right = (probabilities.argmax(-1) == labels)[:, own]
    each = _each(right, place[codes][own], len(kept))
    worst, best = int(each.share.argmin()), int(each.share.argmax())
    low, high = _of_worst(each)
    gap_low, gap_high = _of_gap(each)
    return GroupGap(
        groups=len(kept),
        left_out=len(names) - len(kept),
        worst=str(names[kept[worst]]),
        best=str(names[kept[best]]),
        accuracy=float(each.share[worst]),
        low=low,
        high=high,
        gap=float(each.share[best] - each.share[worst]),
        gap_low=gap_low,
        gap_high=gap_high,
        by_chance=_by_chance(each),
    )


@dataclass(frozen=True)
class _Each:
    """G groups: their shares of right answers, how many images these are worth, and what all share."""

    share: Array  # (G,) mean over seeds
    images: Array  # (G,) effective numbers
    seeds: float  # half the interval of what the seeds vary by in every group alike


def _each(right: NDArray[np.bool_], codes: NDArray[Any], count: int) -> _Each:
    """Return what is known of each group.

    What the images of a group tell is pooled over the groups, as is how a seed's strengths differ from group to group:
    of ten images and three seeds no variance is known.

    Args:
        right: (S, N) whether each seed has each image right.
        codes: (N,) the group of each image, in [0, count).
        count: groups G.
    """
    seeds = len(right)
    sizes = np.bincount(codes, minlength=count).astype(float)
    table = np.stack([np.bincount(codes, row, count) for row in right]) / sizes  # (S, G)
    share = table.mean(0)
    smoothed = (share * sizes + 1) / (sizes + 2)  # none is certain
    worth, mixed, half = np.ones(count), 0.0, 0.0
    if seeds > 1:
        image = right.mean(0)
        spread = np.bincount(codes, (image - share[codes]) ** 2, count) * sizes / (sizes - 1)
        binomial = float((sizes * share * (1 - share)).sum())
        if 0 < spread.sum() < binomial:  # several seeds average out what one draws by itself
            worth = np.full(count, min(binomial / float(spread.sum()), float(seeds)))
        rest = table - share - table.mean(1, keepdims=True) + share.mean()
        freedom = (count - 1) * (seeds - 1)
        drawn = np.bincount(codes, right.var(0, ddof=1), count) / sizes**2  # of that, what images explain
        wide = float(stdtrit(freedom, 1 - ALPHA / 2) / ndtri(1 - ALPHA / 2)) ** 2
        mixed = max(0.0, float((rest**2).sum()) / freedom - float(drawn.mean())) * wide / seeds
        half = float(stdtrit(seeds - 1, 1 - ALPHA / 2) * table.mean(1).std(ddof=1) / np.sqrt(seeds))
    binomial_each = smoothed * (1 - smoothed)
    return _Each(share, binomial_each / (binomial_each / (sizes * worth) + mixed), half)


def _wilson(each: _Each, z: float) -> tuple[Array, Array]:
    """Return Wilson's bounds of every group with ``z`` standard errors, as `intervals.wilson` for many at once."""
    p, n = each.share, each.images
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return np.minimum(centre - half, p), np.maximum(centre + half, p)


def _of_worst(each: _Each) -> tuple[float, float]:
    """Return the bounds of the least accuracy of any group."""
    single, all_at_once = ALPHA / 2, 1 - (1 - ALPHA / 2) ** (1 / len(each.share))
    low, _ = _wilson(each, float(ndtri(1 - single)))
    _, high = _wilson(each, float(ndtri(1 - all_at_once)))
    low = each.share - np.hypot(each.share - low, each.seeds)
    high = each.share + np.hypot(high - each.share, each.seeds)
    return max(0.0, float(low.min())), min(1.0, float(high.min()))


def _of_gap(each: _Each) -> tuple[float, float]:
    """Return the bounds of the difference between the largest and the least accuracy of any two groups."""
    low, high = _wilson(each, _all_pairs(len(each.share)))
    below, above = each.share - low, high - each.share
    single_low, single_high = _wilson(each, float(ndtri(1 - ALPHA / 2)))
    single_below, single_above = each.share - single_low, single_high - each.share
    least, most = 0.0, 0.0
    for place, share in enumerate(each.share):  # a row at a time: nine hundred groups have 810,000 pairs
        difference = share - each.share
        least = max(least, float((difference - np.hypot(below[place], above)).max()))
        wide = difference + np.hypot(single_above[place], single_below)
        wide[place] = 0.0
        most = max(most, float(wide.max()))
    return least, min(1.0, most)


@functools.cache
def _all_pairs(count: int) -> float:
    """Return how many standard errors the differences of ``count`` groups stay within, all at once, one-sided."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - ALPHA / 2, count, np.inf)) / float(np.sqrt(2))


def _by_chance(each: _Each) -> float:
    """Return the gap that groups of these sizes would show on average if they all did equally well."""
    together = float(np.average(each.share, weights=each.images))
    errors = np.sqrt(together * (1 - together) / each.images)
    drawn = together + errors * np.random.default_rng(0).standard_normal((_DRAWS, len(errors)))
    return float(np.ptp(np.clip(drawn, 0, 1), axis=1).mean())
