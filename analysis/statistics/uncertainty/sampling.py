"""What the test images are a sample of: images drawn one by one, or whole groups (people, characters, videos).

Images of one person are alike: a network that fails on her fails on many of them at once.  Where a split goes by groups
its intervals are for new groups, and so the groups are what is drawn anew; two characters of 9,000 images are then two
observations.  Seeds are crossed with both: every seed sees the same images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.uncertainty.spread import Drawn, Spread, Varying

Array = NDArray[np.float64]

RESAMPLES = 2000
_CHUNK = 250  # resamples at once: bounds memory to _CHUNK x images float32
MOST = 500
"""Groups that are left out one by one; more are put together at random: 499 degrees of freedom are as good as more."""


class Images:
    """Images drawn with replacement: a bootstrap.

    The seeds' own part is added to each resample.  With 2 to 10 seeds resampling them would tell too little (5
    resampled seeds vary as 4 would), so their part is drawn from Student's t with S - 1 degrees of freedom instead.
    The spread seen between seeds also holds noise from the images, which the bootstrap has counted already; that part,
    estimated from the resamples, is taken out first (as in a two-way random-effects analysis of variance: Searle,
    Casella & McCulloch, Variance Components, 1992).
    """

    def __init__(self, images: int, resamples: int = RESAMPLES, rng_seed: int = 0) -> None:
        self.size, self.resamples, self.rng_seed = images, resamples, rng_seed

    def weights(self) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of (b, images) float32: how often each image counts in a resample, R rows in all."""
        rng = np.random.default_rng(self.rng_seed)
        for start in range(0, self.resamples, _CHUNK):
            count = min(_CHUNK, self.resamples - start)
            drawn = rng.integers(0, self.size, (count, self.size)) + self.size * np.arange(count)[:, None]
            yield np.bincount(drawn.ravel(), minlength=count * self.size).reshape(count, self.size).astype(np.float32)

    def spread(self, observed: Array, resampled: Array, share: NDArray[Any] | None = None) -> Drawn:
        """Return what is known of the mean of a metric over seeds, for new images and new seeds; ``share`` is not used.

        Args:
            observed: (S, ...) the metric of each seed on the images themselves.
            resampled: (R, S, ...) the metric of each seed on each resample of `weights`.
            share: only there because `Groups` needs it.
        """
        return Drawn(observed.mean(0), _draws(observed, resampled, np.random.default_rng(self.rng_seed)))

    def difference(
        self,
        first: tuple[Array, Array],
        second: tuple[Array, Array],
        share: NDArray[Any] | None = None,
        rival: int = 0,
    ) -> Drawn:
        """Return what is known of the difference of two configurations' means; each as `spread` takes it.

        ``rival`` numbers the second where several are compared with the first: the seeds of each are drawn by
        themselves, those of the first alike each time, so that draws of several differences belong together.
        """
        mine, theirs = (np.random.default_rng([self.rng_seed, number]) for number in (0, 1 + rival))
        return Drawn(first[0].mean(0) - second[0].mean(0), _draws(*first, mine) - _draws(*second, theirs))

    def in_groups(self, amounts: NDArray[Any]) -> None:
        """Return None: there are no groups."""
        return None


def _draws(observed: Array, resampled: Array, rng: np.random.Generator) -> Array:
    """Return (B, ...): a draw of the mean over seeds per resample; with one seed they hold the images only."""
    seeds = observed.shape[0]
    found: Array = resampled.mean(1)  # (B, ...)
    if seeds > 1:
        between = observed.var(0, ddof=1)
        noise = (resampled - found[:, None]).var(0).sum(0) / (seeds - 1)
        own = np.sqrt(np.maximum(between - noise, 0) / seeds)
        t = rng.standard_t(seeds - 1, size=len(found)).reshape(-1, *[1] * (found.ndim - 1))
        found = found + own * t
    return found


class Groups:
    """Groups left out one by one: the delete-one-group jackknife with Student's t, for 2 groups and for 900.

    A bootstrap of few groups covers too little (MacKinnon, Nielsen & Webb, Journal of Econometrics 232, 2023, advise
    the jackknife, their CV3).  The degrees of freedom are those of as many groups of equal size as weigh as much
    (Kish's effective number, Survey Sampling, 1965), less one.  The seeds' part is the variance between them, which has
    S - 1; it holds some of the groups' noise a second time, and so errs to the side of caution.

    Args:
        groups: (N,) the group of each image.
        rng_seed: decides which groups are put together, where there are more than `MOST`.
    """

    def __init__(self, groups: list[str] | NDArray[Any], rng_seed: int = 0) -> None:
        names, codes = np.unique(np.asarray(groups), return_inverse=True)
        self.names = len(names)
        if len(names) > MOST:
            codes = (np.random.default_rng(rng_seed).permutation(len(names)) % MOST)[codes]
        self.codes: NDArray[np.int64] = codes.reshape(-1).astype(np.int64)
        self.size, self.rng_seed = min(len(names), MOST), rng_seed

    def weights(self) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of (b, images) float32, a row per group: 0 for its images, 1 for the others."""
        for start in range(0, self.size, _CHUNK):
            block = np.arange(start, min(start + _CHUNK, self.size))
            yield (self.codes[None] != block[:, None]).astype(np.float32)

    def spread(self, observed: Array, resampled: Array, share: NDArray[Any] | None = None) -> Varying:
        """Return what is known of the mean of a metric over seeds, for new groups and new seeds.

        Args:
            observed: (S, ...) the metric of each seed on the images themselves.
            resampled: (R, S, ...) the metric of each seed on each resample of `weights`.
            share: (G, ...) what each group holds of what the metric is a mean of, such as the images of a class for its
                recall (see `in_groups`); its images where it is not told.
        """
        value = observed.mean(0)
        return Varying(value, [self._groups_part(value, resampled.mean(1), share), *_seeds_part(observed)])

    def difference(
        self,
        first: tuple[Array, Array],
        second: tuple[Array, Array],
        share: NDArray[Any] | None = None,
        rival: int = 0,
    ) -> Varying:
        """Return what is known of the difference of two configurations' means; each as `spread` takes it."""
        value = first[0].mean(0) - second[0].mean(0)
        own = self._groups_part(value, first[1].mean(1) - second[1].mean(1), share)
        return Varying(value, [own, *_seeds_part(first[0]), *_seeds_part(second[0])])

    def in_groups(self, amounts: NDArray[Any]) -> NDArray[Any]:
        """Return (N, ...) amounts of images summed over each group, (G, ...)."""
        member = np.zeros((self.size, len(self.codes)), dtype=np.float64)
        member[self.codes, np.arange(len(self.codes))] = 1
        found: NDArray[Any] = member @ amounts
        return found

    def _groups_part(self, value: Array, without: Array, share: NDArray[Any] | None) -> tuple[Array, Array]:
        """Return the jackknife's variance and its degrees of freedom, 0 where a single group holds everything."""
        amounts = np.bincount(self.codes, minlength=self.size) if share is None else share
        amounts = np.asarray(amounts, dtype=float).reshape(self.size, -1)
        if amounts.shape[1] == 1:
            amounts = np.broadcast_to(amounts, (self.size, max(1, value.size)))
        whole = amounts.sum(0)
        weights = np.divide(amounts, whole, out=np.zeros_like(amounts), where=whole > 0)
        effective = np.divide(1.0, (weights**2).sum(0), out=np.zeros(weights.shape[1]), where=whole > 0)
        holding = (amounts > 0).sum(0)
        freedom = np.where(holding > 1, np.maximum(effective - 1, 1), 0).reshape(value.shape)
        held = np.maximum(holding, 1).reshape(value.shape)  # a group without any changes nothing when it is left out
        return (held - 1) / held * ((without - value) ** 2).sum(0), freedom


def _seeds_part(observed: Array) -> list[tuple[Array, int]]:
    """Return the variance of a mean over seeds and its degrees of freedom; nothing with one seed."""
    seeds = len(observed)
    return [(observed.var(0, ddof=1) / seeds, seeds - 1)] if seeds > 1 else []


Sampling = Images | Groups
"""A scheme of resampling: of R resamples, each with every seed."""


def sampling_of(groups: list[str] | None, images: int, resamples: int = RESAMPLES, rng_seed: int = 0) -> Sampling:
    """Return what is resampled: the groups where there are two or more that hold several images, else the images."""
    if groups and len(groups) > len(set(groups)) > 1:
        return Groups(groups, rng_seed)
    return Images(images, resamples, rng_seed)


def resampled_confusions(
    labels: NDArray[Any], predicted: NDArray[Any], classes: int, sampling: Sampling
) -> NDArray[np.float32]:
    """Count anew in each resample, the same images for every seed.

    Args:
        labels: (N,) integer classes.
        predicted: (S, N) integer classes, a row per seed.
        classes: number of classes C.
        sampling: what is resampled, R times.

    Returns:
        (R, S, C, C) float32 confusion matrices.
    """
    seeds, images = predicted.shape
    cells = (np.arange(seeds)[:, None] * classes + labels) * classes + predicted  # (S, N): one cell per seed and image
    member = np.zeros((images, seeds * classes * classes), dtype=np.float32)
    member[np.arange(images), cells] = 1
    blocks = [weights @ member for weights in sampling.weights()]
    return np.concatenate(blocks).reshape(-1, seeds, classes, classes)


def metric_spread(
    metric: Callable[[NDArray[Any]], Array],
    confusions: NDArray[Any],
    resampled: NDArray[Any],
    sampling: Sampling,
    share: NDArray[Any] | None = None,
) -> Spread:
    """Apply ``metric`` to (S, C, C) confusions and (R, S, C, C) resampled ones; see `Sampling.spread`."""
    return sampling.spread(metric(confusions), metric(resampled), share)
