"""Intervals: for one model (Wilson), and for several seeds of one configuration on the same images.

What is estimated with several seeds is the expected value of a metric over *new images and new seeds*: what a reader
gets who trains this configuration once more and uses it on other images of the same kind.  Two things are uncertain
then, and both must be in the interval: which images the test split happens to hold, and which seeds were drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # scipy.stats takes seconds to import

from fer_tune.errors import UserError

Array = NDArray[np.float64]
Metric = Callable[[NDArray[Any]], Array]  # (..., C, C) confusions -> (..., *shape of the metric)

RESAMPLES = 2000
_CHUNK = 250  # resamples at once: bounds memory to _CHUNK x images float32


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval, all on the metric's own scale."""

    estimate: float
    low: float
    high: float
    level: float = 0.95


def wilson(successes: int, images: int, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion, for one model alone.

    It holds the sampling of images only (Wilson 1927, J. Am. Stat. Assoc. 22:209).

    Raises:
        UserError: no images, or more successes than images.
    """
    if images <= 0 or not 0 <= successes <= images:
        raise UserError(f"an interval needs 0 <= successes <= images and images > 0, not {successes} of {images}")
    z = float(ndtri(0.5 + level / 2))
    share = successes / images
    centre = (share + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * np.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    return Interval(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)), level)


def image_weights(images: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Draw ``images`` images with replacement, ``resamples`` times; the same ``rng`` state gives the same draws.

    Yields:
        Blocks of (b, images) float32: how often each image was drawn, ``resamples`` rows in all.
    """
    for start in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - start)
        drawn = rng.integers(0, images, (count, images)) + images * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=count * images).reshape(count, images).astype(np.float32)


def resampled_confusions(
    labels: NDArray[Any], predicted: NDArray[Any], classes: int, resamples: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw the images with replacement, the same draw for every seed, and count anew.

    Args:
        labels: (N,) integer classes.
        predicted: (S, N) integer classes, a row per seed.
        classes: number of classes C.
        resamples: number of draws B.
        rng: the source of randomness.

    Returns:
        (B, S, C, C) float32 confusion matrices of weights that sum to N.
    """
    seeds, images = predicted.shape
    cells = (np.arange(seeds)[:, None] * classes + labels) * classes + predicted  # (S, N): one cell per seed and image
    member = np.zeros((images, seeds * classes * classes), dtype=np.float32)
    member[np.arange(images), cells] = 1
    blocks = [weights @ member for weights in image_weights(images, resamples, rng)]
    return np.concatenate(blocks).reshape(resamples, seeds, classes, classes)


def over_images_and_seeds(
    observed: Array, resampled: Array, rng: np.random.Generator, level: float = 0.95
) -> tuple[Array, Array, Array]:
    """Return the mean of a metric over seeds with an interval for new images and new seeds; see `draws`.

    Returns:
        (mean, low, high), each of the metric's shape (...).  With one seed the interval holds the images only.
    """
    low, high = np.quantile(draws(observed, resampled, rng), [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return observed.mean(0), low, high


def draws(observed: Array, resampled: Array, rng: np.random.Generator) -> Array:
    """Return draws of the mean of a metric over seeds, as it may be for new images and new seeds.

    The images are bootstrapped; the seeds' own part is added to each resample.  With 2 to 10 seeds resampling them
    would tell too little (5 resampled seeds vary as 4 would), so their part is drawn from Student's t with S - 1
    degrees of freedom instead.  The spread seen between seeds also holds noise from the images, which the bootstrap
    has counted already; that part, estimated from the resamples, is taken out first (as in a two-way random-effects
    analysis of variance: Searle, Casella & McCulloch, Variance Components, 1992).

    Args:
        observed: (S, ...) the metric of each seed on the images themselves.
        resampled: (B, S, ...) the metric of each seed on each resample.
        rng: the source of randomness.

    Returns:
        (B, ...): a draw per resample; with one seed they hold the images only.
    """
    seeds = observed.shape[0]
    found: Array = resampled.mean(1)  # (B, ...)
    if seeds > 1:
        between = observed.var(0, ddof=1)
        noise = (resampled - found[:, None]).var(0).sum(0) / (seeds - 1)
        own = np.sqrt(np.maximum(between - noise, 0) / seeds)
        t = rng.standard_t(seeds - 1, size=len(found)).reshape(-1, *[1] * (found.ndim - 1))
        found = found + own * t
    return found


def metric_interval(
    metric: Metric, confusions: NDArray[Any], resampled: NDArray[Any], seed: int = 0, level: float = 0.95
) -> tuple[Array, Array, Array]:
    """Apply ``metric`` to (S, C, C) confusions and (B, S, C, C) resampled ones; see `over_images_and_seeds`."""
    return over_images_and_seeds(metric(confusions), metric(resampled), np.random.default_rng(seed), level)


def mean_interval(values: NDArray[Any] | list[float], level: float = 0.95) -> Interval:
    """Return the mean over seeds with Student's t interval: seeds only, as for validation accuracies.

    With one value the bounds are NaN: a single seed tells nothing about others.
    """
    data = np.asarray(values, dtype=np.float64)
    mean = float(data.mean()) if data.size else float("nan")
    if data.size < 2:
        return Interval(mean, float("nan"), float("nan"), level)
    half = float(stdtrit(data.size - 1, 0.5 + level / 2) * data.std(ddof=1) / np.sqrt(data.size))
    return Interval(mean, mean - half, mean + half, level)
