"""Intervals that need no resampling: of one model's share (Wilson), and of a mean over seeds (Student's t).

What is estimated with several seeds on a test split is the expected value of a metric over *new images and new seeds*:
what a reader gets who trains this configuration once more and uses it on other images of the same kind.  Two things are
uncertain then, and both must be in the interval: which images (or groups of images) the test split happens to hold, and
which seeds were drawn.  `analysis.statistics.uncertainty.sampling` does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # scipy.stats takes seconds to import

from fer_tune.errors import UserError


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval, all on the metric's own scale."""

    estimate: float
    low: float
    high: float
    level: float = 0.95


def wilson(successes: float, images: float, level: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion, for one model alone; counts may be effective ones, with a part.

    It holds the sampling of images only (Wilson 1927, J. Am. Stat. Assoc. 22:209).

    Raises:
        UserError: no images, or more successes than images.
    """
    if images <= 0 or not 0 <= successes <= images:
        raise UserError(f"an interval needs 0 <= successes <= images and images > 0, not {successes:g} of {images:g}")
    z = float(ndtri(0.5 + level / 2))
    share = successes / images
    centre = (share + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * np.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    return Interval(share, max(0.0, float(centre - half)), min(1.0, float(centre + half)), level)


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
