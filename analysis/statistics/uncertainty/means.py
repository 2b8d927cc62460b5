"""Means over images of anything that each seed says of each image: shares, differences of shares, means of those."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.results import Estimate
from analysis.statistics.uncertainty.intervals import wilson
from analysis.statistics.uncertainty.sampling import Groups, Sampling


def mean_estimates(values: NDArray[Any], sampling: Sampling, *, low: float = 0.0, high: float = 1.0) -> list[Estimate]:
    """Return the means of M things, each with its interval for new images (or groups) and new seeds.

    All are resampled together, so a difference of two is to be given as the difference of their values.

    Args:
        values: (S, N, M) of each seed and image.
        sampling: what the images are a sample of.
        low: no mean is below it.
        high: no mean is above it.
    """
    seeds, images, count = values.shape
    flat = values.transpose(1, 0, 2).reshape(images, seeds * count).astype(np.float32)
    blocks = [weights @ flat / weights.sum(1, keepdims=True) for weights in sampling.weights()]
    resampled = np.concatenate(blocks).reshape(-1, seeds, count).astype(np.float64)
    observed = values.mean(1, dtype=np.float64)
    spread = sampling.spread(observed, resampled)
    lower, upper = (np.clip(bound, low, high) for bound in spread.interval())
    found = []
    for place in range(count):
        value, bounds = float(spread.value[place]), (float(lower[place]), float(upper[place]))
        if bounds[0] == bounds[1] and value in (0.0, 1.0) and low == 0.0:  # resampling sees nothing of what is certain
            size = sampling.names if isinstance(sampling, Groups) else images
            alone = wilson(value * size, size)
            bounds = (alone.low, alone.high)
        found.append(Estimate(value=value, low=bounds[0], high=bounds[1], per_seed=observed[:, place].tolist()))
    return found
