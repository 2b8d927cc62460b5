"""Made-up seeds and images whose truth is known, many experiments at once: for tests of intervals and of p values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.statistics.uncertainty.sampling import Images

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
        weights = np.concatenate([*Images(IMAGES, RESAMPLES, int(rng.integers(2**31))).weights()])
        found = []
        for seeds, spread in configurations:
            skill = TRUTH + rng.normal(0, spread, (seeds, 1, batch))
            right = rng.random((seeds, IMAGES, batch)) < np.clip(skill + ease, 0, 1)
            flat = right.transpose(1, 0, 2).reshape(IMAGES, -1).astype(np.float32)
            found.append((right.mean(1), (weights @ flat / IMAGES).reshape(RESAMPLES, seeds, batch)))
        yield found


def main() -> None:
    """Print every figure of coverage, of false claims and of power; the argument is the number of experiments."""
    import sys

    import simulated_aggregates
    import simulated_calibration
    import simulated_choices
    import simulated_combining
    import simulated_families
    import simulated_groups
    import simulated_ranks
    import simulated_searches

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    told = (simulated_families, simulated_choices, simulated_combining, simulated_ranks, simulated_calibration)
    for part in (simulated_groups, *told, simulated_searches, simulated_aggregates):
        part.print_all(count)


if __name__ == "__main__":
    main()
