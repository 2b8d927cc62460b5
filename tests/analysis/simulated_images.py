"""Made-up seeds and images whose truth is known, many experiments at once: how often intervals hold it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.statistics.uncertainty.sampling import Images

TRUTH, EASE = 0.6, 0.3  # expected accuracy; how far the images differ in difficulty
IMAGES, RESAMPLES, BATCH = 200, 600, 300
KINDS = [(1, 0.0), (3, 0.02), (5, 0.02), (5, 0.06), (10, 0.03)]
"""Seeds, and how far their skills spread."""


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
        weights = np.concatenate([*Images(IMAGES, RESAMPLES, int(rng.integers(2**31))).weights()])
        found = []
        for seeds, spread in configurations:
            skill = TRUTH + rng.normal(0, spread, (seeds, 1, batch))
            right = rng.random((seeds, IMAGES, batch)) < np.clip(skill + ease, 0, 1)
            flat = right.transpose(1, 0, 2).reshape(IMAGES, -1).astype(np.float32)
            found.append((right.mean(1), (weights @ flat / IMAGES).reshape(RESAMPLES, seeds, batch)))
        yield found


def coverage(seeds: int, spread: float, count: int, rng: np.random.Generator) -> float:
    """Return how often the interval for new images and new seeds holds the truth; with one seed, that of its model."""
    held: list[bool] = []
    for [(observed, resampled)] in experiments(count, [(seeds, spread)], rng):
        low, high = Images(IMAGES, rng_seed=len(held)).spread(observed, resampled).interval()
        held += list((low <= TRUTH) & (high >= TRUTH))
    return float(np.mean(held))


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    for seeds, spread in KINDS:
        held = coverage(seeds, spread, count, rng)
        print(f"{IMAGES} images drawn one by one, {seeds} seeds that differ by {100 * spread:.0f} points: ", end="")
        print(f"covers {100 * held:.1f} %")
