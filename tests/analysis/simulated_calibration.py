"""Made-up probabilities that are right, or too sure by a known factor: what is told of their calibration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from analysis.heldout.scaling import scaling
from analysis.results import Estimate
from analysis.statistics.calibration.errors import calibration
from analysis.statistics.calibration.probabilistic import losses
from analysis.statistics.calibration.reliability import Reliability, reliability_curves
from analysis.statistics.calibration.temperature import fit_temperature, scaled_seeds
from analysis.statistics.uncertainty.sampling import Images, sampling_of

CLASSES = 5
NAMES = ("calibration_error", "classwise_calibration_error", "brier_reliability", "brier_resolution")


@dataclass(frozen=True)
class Kind:
    """How many images and seeds there are, and how sure the models are: 1 as sure as they are right."""

    images: int
    seeds: int
    sure: float = 1.0
    groups: int = 0  # of images whose labels go together; 0: every image by itself


def draw(kind: Kind, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[str] | None]:
    """Return labels, (S, N, C) probabilities, and groups: seeds of one ability err on their own in part.

    The labels come from what all seeds share, so that a seed with a noise of its own is a little too sure.
    """
    shared = rng.normal(0, 1.5, (1, kind.images, CLASSES))
    groups = None
    if kind.groups:
        codes = np.arange(kind.images) % kind.groups
        shared = shared + rng.normal(0, 0.7, (1, kind.groups, CLASSES))[:, codes]
        groups = [f"g{code}" for code in codes]
    truth = np.exp(shared[0])
    truth /= truth.sum(-1, keepdims=True)
    labels = np.minimum((truth.cumsum(-1) < rng.random((kind.images, 1))).sum(-1), CLASSES - 1)
    own = kind.sure * (shared + rng.normal(0, 0.1 if kind.seeds > 1 else 0, (kind.seeds, kind.images, CLASSES)))
    found = np.exp(own - own.max(-1, keepdims=True))
    return labels, (found / found.sum(-1, keepdims=True)).astype(np.float32), groups


@cache
def truth(kind: Kind) -> dict[str, float]:
    """Return the measures of a great many images, whose bins are as those of a test split are on average."""
    rng = np.random.default_rng(99)
    images = 400_000
    made = Kind(images, kind.seeds, kind.sure, kind.groups and images // 20)
    labels, probabilities, _ = draw(made, rng)
    return {name: each.value for name, each in calibration(labels, probabilities, Images(images)).items()}


def plain_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the usual expected calibration error in 15 bins of equal width, mean over seeds."""
    confidence, right = probabilities.max(-1), probabilities.argmax(-1) == labels
    bins = np.minimum((confidence * 15).astype(int), 14)
    return float(
        np.mean(
            [
                np.abs(np.bincount(own, said - came, 15)).sum() / len(labels)
                for own, said, came in zip(bins, confidence, right, strict=True)
            ]
        )
    )


def told(kind: Kind, count: int, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, float], float]:
    """Return how often each interval holds the truth, the mean bias of each square or part, and the plain error."""
    true = truth(kind)
    held = dict.fromkeys(NAMES, 0)
    bias = dict.fromkeys(NAMES, 0.0)
    plain = 0.0
    for number in range(count):
        labels, probabilities, groups = draw(kind, rng)
        found = calibration(labels, probabilities, sampling_of(groups, kind.images, 10, number))
        for name in NAMES:
            each: Estimate = found[name]
            held[name] += each.low <= true[name] <= each.high
            bias[name] += each.value - true[name]
        plain += plain_error(labels, probabilities)
    return {n: v / count for n, v in held.items()}, {n: v / count for n, v in bias.items()}, plain / count


def gain_held(kind: Kind, count: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return how often the interval of what scaling gains holds it, and how often a gain is told where none is true.

    The temperature is fitted on a validation set of the same size; the truth is that of as many fits.
    """
    held, false = 0, 0
    for _ in range(count):
        validation, own, _ = draw(kind, rng)
        temperatures = [fit_temperature(validation, each) for each in own]
        labels, probabilities, _ = draw(kind, rng)
        found = scaling(labels, probabilities, temperatures, len(validation), resamples=300).gain
        true = true_gain(kind, temperatures)
        held += found.low <= true <= found.high
        false += found.low > 0 >= true
    return held / count, false / count


@cache
def many(kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels and probabilities of a great many images."""
    labels, probabilities, _ = draw(Kind(100_000, kind.seeds, kind.sure), np.random.default_rng(98))
    return labels, probabilities


def true_gain(kind: Kind, temperatures: list[float]) -> float:
    """Return what these temperatures gain on a great many images."""
    labels, probabilities = many(kind)
    return float((losses(labels, probabilities) - losses(labels, scaled_seeds(probabilities, temperatures))).mean())


def bins_held(kind: Kind, count: int, rng: np.random.Generator) -> float:
    """Return how often the interval of a bin of the reliability diagram holds what it has of a great many images."""
    [true] = reliability_curves(*many(kind), None)
    accuracy = dict(zip(_bins(true), true.accuracy, strict=True))
    held: list[bool] = []
    for _ in range(count):
        labels, probabilities, _ = draw(kind, rng)
        [own] = reliability_curves(labels, probabilities, None)
        rows = zip(_bins(own), own.low, own.high, strict=True)
        held += [low <= accuracy[place] <= high for place, low, high in rows if place in accuracy]
    return float(np.mean(held))


def _bins(curve: Reliability) -> list[int]:
    return [int(place) for place in np.flatnonzero(curve.shares)]


GRID = [
    Kind(images, seeds, sure, groups)
    for images, groups in ((400, 0), (3000, 0), (3000, 30))
    for seeds in (1, 3)
    for sure in (1.0, 1.5)
]


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    for kind in GRID:
        held, bias, plain = told(kind, count // 5, rng)
        covered = ", ".join(f"{name} {100 * held[name]:.1f} % (bias {bias[name]:+.4f})" for name in NAMES)
        print(f"{kind}: covers {covered}; the plain error is {100 * plain:.1f} %")
    for kind in (each for each in GRID if not each.groups):
        print(f"bins of the reliability diagram, {kind}: covers {100 * bins_held(kind, count // 10, rng):.1f} %")
    for sure in (1.0, 1.5):
        kind = Kind(400, 3, sure)
        held, false = gain_held(kind, count // 10, rng)
        print(f"gain of a temperature, {kind}: covers {100 * held:.1f} %, told wrongly in {100 * false:.1f} %")
