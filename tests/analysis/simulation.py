"""Made-up seeds and images whose truth is known, many experiments at once: for tests of intervals and of p values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.statistics.intervals import image_weights

TRUTH, EASE = 0.6, 0.3  # expected accuracy; how far the images differ in difficulty
IMAGES, RESAMPLES, BATCH = 200, 600, 300


def experiments(
    count: int, configurations: list[tuple[int, float]], rng: np.random.Generator
) -> Iterator[list[tuple[Any, Any]]]:
    """Yield batches of experiments with several configurations on the same images, all with the same true accuracy.

    Args:
        count: experiments in all.
        configurations: (seeds, how far their skills spread) of each.
        rng: the source of randomness.

    Yields:
        For each configuration the accuracy of each seed, (S, batch), and on the resamples, (B, S, batch).
    """
    for start in range(0, count, BATCH):
        batch = min(BATCH, count - start)
        ease = rng.uniform(-EASE, EASE, (1, IMAGES, batch))
        [*blocks] = image_weights(IMAGES, RESAMPLES, rng)
        weights = np.concatenate(blocks)
        found = []
        for seeds, spread in configurations:
            skill = TRUTH + rng.normal(0, spread, (seeds, 1, batch))
            right = rng.random((seeds, IMAGES, batch)) < np.clip(skill + ease, 0, 1)
            flat = right.transpose(1, 0, 2).reshape(IMAGES, -1).astype(np.float32)
            found.append((right.mean(1), (weights @ flat / IMAGES).reshape(RESAMPLES, seeds, batch)))
        yield found
