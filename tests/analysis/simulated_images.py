"""Made-up seeds and images whose truth is known, many experiments at once: how often intervals hold it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analysis.statistics.scores import ensemble_scores
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


SHARES = np.array([0.136, 0.016, 0.148, 0.245, 0.173, 0.169, 0.113])
"""Of FER2013's classes in its PrivateTest; of the second there are few images."""
RECALLS = np.array([0.55, 0.4, 0.45, 0.85, 0.62, 0.5, 0.75])


def joint_coverage(images: int, count: int, rng: np.random.Generator) -> dict[str, float]:
    """Return how often the intervals of one classifier made of several seeds hold the truth, by metric."""
    classes = len(SHARES)
    wrong = np.tile(SHARES, (classes, 1)) * (1 - np.eye(classes))
    answers = np.diag(RECALLS) + (1 - RECALLS)[:, None] * wrong / wrong.sum(1, keepdims=True)
    answers /= answers.sum(1, keepdims=True)
    shares = SHARES / SHARES.sum()
    population = shares[:, None] * answers
    truth = {
        "accuracy": np.trace(population),
        "balanced_accuracy": np.diag(answers).mean(),
        "macro_f1": (2 * np.diag(population) / (population.sum(0) + population.sum(1))).mean(),
    }
    held: dict[str, list[bool]] = {name: [] for name in truth}
    for _ in range(count):
        labels = rng.choice(classes, images, p=shares)
        predicted = (answers[labels].cumsum(1) < rng.random((images, 1))).sum(1)
        seeds = np.eye(classes)[np.minimum(predicted, classes - 1)][None].repeat(2, 0)
        found = ensemble_scores(labels, seeds, Images(images, RESAMPLES, int(rng.integers(2**31))))
        for name, true in truth.items():
            estimate = getattr(found, name)
            held[name].append(estimate.low <= true <= estimate.high)
    return {name: float(np.mean(each)) for name, each in held.items()}


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    for seeds, spread in KINDS:
        held = coverage(seeds, spread, count, rng)
        print(f"{IMAGES} images drawn one by one, {seeds} seeds that differ by {100 * spread:.0f} points: ", end="")
        print(f"covers {100 * held:.1f} %")
    for images in (500, 3500):
        found = joint_coverage(images, count // 4, rng)
        told = ", ".join(f"{name} {100 * held:.1f} %" for name, held in found.items())
        print(f"one classifier of several seeds, {images} images of seven uneven classes: covers {told}")
