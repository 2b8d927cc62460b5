"""Made-up configurations that do equally well: how often one of all that are told of them together is told apart."""

from __future__ import annotations

import numpy as np

from analysis.statistics.comparing.paired import Contender, compare

IMAGES, CLASSES, RESAMPLES = 240, 4, 600


def contender(name: str, labels: np.ndarray, ease: np.ndarray, seeds: int, rng: np.random.Generator) -> Contender:
    """Return a configuration that is right on 60 % of the images, on some more easily; its seeds differ by 2 points."""
    skill = 0.6 + rng.normal(0, 0.02, (seeds, 1))
    right = rng.random((seeds, len(labels))) < skill + ease
    wrong = (labels + rng.integers(1, CLASSES, right.shape)) % CLASSES
    return Contender(name, "searched", np.eye(CLASSES)[np.where(right, labels, wrong)])


def false_families(rivals: int, seeds: int, count: int, rng: np.random.Generator) -> float:
    """Return how often a report tells any difference, of accuracy or macro F1, between equal configurations."""
    false = 0
    for number in range(count):
        labels = rng.integers(0, CLASSES, IMAGES)
        ease = rng.uniform(-0.3, 0.3, IMAGES)
        winner, *others = (contender(f"c{n}", labels, ease, seeds, rng) for n in range(1 + rivals))
        pairs = compare(labels, winner, others, resamples=RESAMPLES, rng_seed=number).pairs
        shown = [pair.shown or pair.macro_f1_low > 0 or pair.macro_f1_high < 0 for pair in pairs]
        false += any(shown)
    return false / count


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    for rivals, seeds in ((1, 3), (3, 3), (5, 2), (3, 5)):
        shown = false_families(rivals, seeds, count // 4, rng)
        told = f"{rivals} equal rivals, {seeds} seeds, accuracy and macro F1"
        print(f"{told}: a difference told in {100 * shown:.1f} % of the reports")
