"""The mean accuracy of several seeds with its interval, for the benchmarks that train."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.statistics.uncertainty.sampling import Images


def told(values: NDArray[Any]) -> str:
    """Return the mean in points, with its 95 % interval over images and seeds.

    Args:
        values: (S, N) of each seed and image: right or wrong, or the difference of two such.
    """
    sampling, images = Images(values.shape[1]), values.shape[1]
    resampled = np.concatenate([weights @ values.T.astype(np.float32) for weights in sampling.weights()]) / images
    found = sampling.spread(values.mean(1, dtype=np.float64), resampled.astype(np.float64))
    low, high = found.interval()
    if values.dtype == bool:
        low, high = max(low, 0.0), min(high, 1.0)  # with two seeds Student's t goes far
    return f"{100 * found.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"
