"""Made-up models whose truth is known: does choosing on validation how they are used lose anything, and is it told so?

Every model sees the class with some skill, a haze that all models share (hard images), one that a configuration's seeds
share, and one of its own; averaging takes away the last one, and models of several configurations the second too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.combining.choosing import Library, choose
from analysis.combining.gain import gain
from fer_tune.objectives import ACCURACY

CLASSES, SEEDS, VALIDATION, TESTED = 7, 3, 600, 1500
_TRUTH = 10_000  # images that stand for all


@dataclass(frozen=True)
class World:
    """How models differ: the skill of each configuration, the haze of it and of a seed, and what mirror images show."""

    name: str
    skills: tuple[float, ...]
    shared: float
    own: float
    mirrored: float = 0.5  # of the variance of a seed's haze, that is another one in the mirror image
    misled: float = 0.0  # skill that a mirror image costs

    def draw(self, images: int, rng: np.random.Generator) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        """Return (N,) labels, and by views the (M, N, C) probabilities of `SEEDS` models of each configuration."""
        labels = rng.integers(0, CLASSES, images)
        hard = rng.normal(0, 1, (images, CLASSES))
        none, flip = [], []
        for skill in self.skills:
            haze = hard + rng.normal(0, self.shared, (images, CLASSES))
            for _ in range(SEEDS):
                lasting = rng.normal(0, self.own * np.sqrt(1 - self.mirrored), (images, CLASSES))
                views = [
                    (skill - less) * np.eye(CLASSES)[labels]
                    + haze
                    + lasting
                    + rng.normal(0, self.own * np.sqrt(self.mirrored), (images, CLASSES))
                    for less in (0, self.misled)
                ]
                one, other = (np.exp(view) / np.exp(view).sum(1, keepdims=True) for view in views)
                none.append(one)
                flip.append((one + other) / 2)
        return labels, {"none": np.stack(none).astype(np.float32), "flip": np.stack(flip).astype(np.float32)}


WORLDS = [
    World("averaging helps", (1.6, 1.5, 1.3), 0.7, 0.7),
    World("little to gain", (1.6, 1.55, 1.5), 0.2, 0.2),
    World("next to nothing to gain", (1.6, 1.55, 1.5), 0.05, 0.05),
    World("mirror images mislead, the others are poor", (1.6, 1.2, 0.9), 0.1, 0.1, 0.5, 0.4),
]


@dataclass(frozen=True)
class Outcome:
    """Means over experiments, in shares of one.

    Attributes:
        gained: what the chosen combination truly gains over the single model.
        best: what the one that truly is best gains.
        promised: what validation promises of the chosen one.
        nested: what is told of the whole choice.
        lost: how often the chosen one truly is worse than the single model by 0.2 points or more.
        held: how often the interval on a test split holds the true gain.
        claimed: how often a test split shows the chosen one to be worse though it is not, or better though it is not.
        passes: of the chosen one.
    """

    gained: float
    best: float
    promised: float
    nested: float
    lost: float
    held: float
    claimed: float
    passes: float


def outcome(world: World, count: int, rng: np.random.Generator) -> Outcome:
    """Return what comes of choosing in ``world``."""
    rows = []
    seeds = list(range(SEEDS))
    for _ in range(count):
        labels, predicted = world.draw(VALIDATION + TESTED + _TRUTH, rng)
        here = {views: block[:, :VALIDATION] for views, block in predicted.items()}
        found = choose(Library(labels[:VALIDATION], here, seeds, {}), ACCURACY)
        truth = labels[VALIDATION + TESTED :]

        def used(way: Any, images: slice, predicted: dict[str, Any] = predicted) -> NDArray[Any]:
            block = predicted[way.views][:, images]
            return block[:SEEDS] if way.kind == "single" else np.tensordot(way.shares, block, 1)[None]

        def true(way: Any, truth: NDArray[Any] = truth) -> float:
            return float((used(way, slice(VALIDATION + TESTED, None)).argmax(-1) == truth).mean())

        gains = [true(way) - true(found.ways[0]) for way in found.ways]
        own, gained = found.ways[found.chosen], gains[found.chosen]
        held, claimed = True, False
        if found.chosen:
            tested = slice(VALIDATION, VALIDATION + TESTED)
            told = gain(ACCURACY, labels[tested], used(own, tested), predicted["none"][:SEEDS, tested], resamples=500)
            held, claimed = told.low <= gained <= told.high, told.shown and told.value * gained < 0
        rows.append((gained, max(gains), own.gain, found.gain, gained <= -0.002, held, claimed, own.passes))
    return Outcome(*(float(value) for value in np.mean(rows, axis=0)))


def covered(kind: str, images: int, count: int, rng: np.random.Generator) -> float:
    """Return how often the interval of a gain over the single model holds what is gained on average.

    Args:
        kind: ``ensemble`` of the seeds, or ``flip``, the single model with mirror images.
        images: that are tested.
        count: experiments.
        rng: the source of randomness.
    """
    found = []
    for _ in range(count):
        labels, predicted = WORLDS[0].draw(images, rng)
        single = predicted["none"][:SEEDS]
        own = single.mean(0, keepdims=True) if kind == "ensemble" else predicted["flip"][:SEEDS]
        told = gain(ACCURACY, labels, own, single, resamples=400)
        found.append((told.low, told.value, told.high))
    low, value, high = np.array(found).T
    return float(((low <= value.mean()) & (value.mean() <= high)).mean())


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    for world in WORLDS:
        found = outcome(world, max(20, count // 40), rng)
        print(
            f"{world.name}: the chosen way gains {100 * found.gained:+.2f} points (the best {100 * found.best:+.2f}) "
            f"with {found.passes:.1f} passes, promised {100 * found.promised:+.2f}, told of the whole choice "
            f"{100 * found.nested:+.2f}; loses 0.2 points or more in {100 * found.lost:.1f} %, covered in "
            f"{100 * found.held:.1f} %, wrong claims {100 * found.claimed:.1f} %"
        )
    for kind in ("ensemble", "flip"):
        held = covered(kind, 800, max(100, count // 5), rng)
        print(f"the gain of {kind} over the single model: covered in {100 * held:.1f} %")
