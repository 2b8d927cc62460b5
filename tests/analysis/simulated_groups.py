"""Made-up people whose images are alike: how often intervals for new people hold the truth, and tests cry wolf."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.statistics.comparing.paired import flipped
from analysis.statistics.groups.gaps import group_gap
from analysis.statistics.groups.within_groups import share_interval
from analysis.statistics.uncertainty.sampling import Groups

TRUTH = 0.65  # expected accuracy


@dataclass(frozen=True)
class People:
    """Groups of images and the seeds that see them; spreads are standard deviations of the accuracy."""

    groups: int
    seeds: int = 3
    images: int = 3000  # of all groups together
    uneven: float = 0.0  # standard deviation of the logarithm of a group's size
    people: float = 0.08  # how far groups differ in difficulty
    seed: float = 0.01
    both: float = 0.02  # how far a seed's strengths differ from group to group


def accuracies(made: People, count: int, rng: np.random.Generator) -> tuple[Groups, np.ndarray, np.ndarray]:
    """Return the groups, the accuracy of each seed, (S, count), and without each group, (G, S, count)."""
    sizes = rng.lognormal(0, made.uneven, made.groups)
    sizes = np.maximum(2, np.round(sizes / sizes.sum() * made.images)).astype(int)
    shape = (made.groups, made.seeds, count)
    each = TRUTH + rng.normal(0, made.people, (made.groups, 1, count)) + rng.normal(0, made.both, shape)
    each += rng.normal(0, made.seed, (1, made.seeds, count))
    noise = np.sqrt(TRUTH * (1 - TRUTH) / sizes / 2)[:, None, None]  # of images: half of it the same for every seed
    each += noise * rng.normal(0, 1, (made.groups, 1, count)) + noise * rng.normal(0, 1, shape)
    weights = (sizes / sizes.sum())[:, None, None]
    observed = (weights * each).sum(0)
    return Groups(np.repeat(np.arange(made.groups), sizes)), observed, (observed - weights * each) / (1 - weights)


def coverage(made: People, count: int, rng: np.random.Generator, batch: int = 20) -> float:
    """Return how often the interval for new groups and new seeds holds the truth; group sizes anew per ``batch``."""
    held: list[bool] = []
    while len(held) < count:
        groups, observed, without = accuracies(made, batch, rng)
        low, high = groups.spread(observed, without).interval()
        held += list((low <= TRUTH) & (high >= TRUTH))
    return float(np.mean(held))


def coverage_of_images(made: People, count: int, rng: np.random.Generator) -> float:
    """Return how often an interval for new images alone would hold it."""
    _, observed, _ = accuracies(made, count, rng)
    half = 1.96 * np.sqrt(TRUTH * (1 - TRUTH) / made.images)
    return float(np.mean(np.abs(observed.mean(0) - TRUTH) <= half))


def false_differences(made: People, count: int, rng: np.random.Generator) -> float:
    """Return how often two configurations that do as well on the whole are told apart."""
    found: list[bool] = []
    while len(found) < count:
        groups, observed, without = accuracies(made, 20, rng)
        _, other, without_other = _beside(made, groups, rng, 20)
        found += list(groups.difference((observed, without), (other, without_other)).p() < 0.05)
    return float(np.mean(found))


def _beside(
    made: People, groups: Groups, rng: np.random.Generator, count: int
) -> tuple[Groups, np.ndarray, np.ndarray]:
    """Return another configuration's accuracies on groups of these sizes."""
    weights = (np.bincount(groups.codes) / len(groups.codes))[:, None, None]
    each = TRUTH + rng.normal(0, made.people, (made.groups, made.seeds, count))
    each += rng.normal(0, made.seed, (1, made.seeds, count))
    observed = (weights * each).sum(0)
    return groups, observed, (observed - weights * each) / (1 - weights)


def false_flips(groups: int, count: int, rng: np.random.Generator) -> float:
    """Return how often flipping signs tells two equally good classifiers apart."""
    codes = np.repeat(np.arange(groups), 20)
    found = []
    for _ in range(count):
        gap = rng.normal(0, 0.1, groups)[codes]  # in each group the one or the other is better
        draw = rng.random(len(codes))
        first, second = (draw < 0.6 + gap / 2).astype(int), (draw < 0.6 - gap / 2).astype(int)
        found.append(flipped(np.ones(len(codes), dtype=int), first, second, codes) < 0.05)
    return float(np.mean(found))


def coverage_within(images: int, seeds: int, spread: float, count: int, rng: np.random.Generator) -> float:
    """Return how often the interval of one group's accuracy holds the truth."""
    held = 0
    for _ in range(count):
        skill = np.clip(TRUTH + rng.normal(0, spread if seeds > 1 else 0, (seeds, 1)), 0, 1)
        shared, own = rng.random((1, images)), rng.random((seeds, images))
        right = np.where(rng.random((seeds, images)) < 0.5, shared, own) < skill
        bounds = share_interval(right)
        held += bounds.low <= TRUTH <= bounds.high
    return held / count


@dataclass(frozen=True)
class Compared:
    """Groups whose best and worst are picked; spreads as in `People`."""

    groups: int
    each: int  # images of a group, on average
    seeds: int = 3
    uneven: float = 0.0
    people: float = 0.0  # 0: all groups do equally well
    both: float = 0.02


def gaps(made: Compared, count: int, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return how often the gap's interval and that of the worst group hold the truth, how often a gap is shown that
    is none (or, with ``people``, is one), and by how much the gap as observed is too large.
    """
    rows = []
    for _ in range(count):
        sizes = np.maximum(10, np.round(rng.lognormal(0, made.uneven, made.groups) * made.each)).astype(int)
        truth = np.clip(TRUTH + rng.normal(0, made.people, made.groups), 0.02, 0.98)
        if made.seeds > 1:
            skill = truth + rng.normal(0, made.both, (made.seeds, made.groups)) + rng.normal(0, 0.01, (made.seeds, 1))
        else:
            skill = truth[None]  # one trained model is what it is
        codes = np.repeat(np.arange(made.groups), sizes)
        shape = (made.seeds, len(codes))
        draw = np.where(rng.random(shape) < 0.5, rng.random(len(codes)), rng.random(shape))
        wrong = (draw >= np.clip(skill, 0, 1)[:, codes]).astype(int)
        found = group_gap(np.zeros(len(codes), dtype=int), np.eye(2)[wrong], [f"{code:04d}" for code in codes])
        assert found is not None
        gap, worst = float(np.ptp(truth)), float(truth.min())
        held = found.gap_low <= gap + 1e-12 and gap <= found.gap_high
        rows.append((held, found.low <= worst <= found.high, found.gap_low > 0, found.gap - gap))
    a, b, c, d = np.mean(rows, axis=0)
    return float(a), float(b), float(c), float(d)


GAPS = [
    Compared(groups, each, seeds, uneven, people)
    for groups, each in ((2, 10), (2, 400), (5, 50), (24, 15), (24, 100), (200, 30))
    for seeds in (1, 3, 5)
    for uneven in (0.0, 0.6)
    for people in (0.0, 0.1)
]

GRID = [
    People(groups, seeds, uneven=uneven, people=people, seed=seed)
    for groups in (2, 3, 5, 10, 40, 200)
    for seeds, seed in ((1, 0.0), (3, 0.01), (5, 0.01))
    for uneven in (0.0, 0.5)
    for people in (0.03, 0.08)
]


def _range(shares: np.ndarray) -> str:
    return f"{100 * shares.min():.1f} to {100 * shares.max():.1f} %, mean {100 * shares.mean():.1f} %"


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    character = People(2, 3, images=18_000)
    print(f"2 characters of 9,000 images, interval for images: {100 * coverage_of_images(character, count, rng):.1f} %")
    print(f"  interval for groups: {100 * coverage(character, count, rng):.1f} %")
    for groups in dict.fromkeys(made.groups for made in GRID):
        found = [coverage(made, count, rng) for made in GRID if made.groups == groups]
        told = f"covers {100 * min(found):.1f} to {100 * max(found):.1f} %, mean {100 * np.mean(found):.1f} %"
        print(f"{groups:4d} groups, 1 to 5 seeds, even and uneven: {told}")
    for groups in (2, 5, 20, 100):
        shown = false_differences(People(groups), count, rng)
        print(f"{groups:4d} groups, two equal configurations: told apart in {100 * shown:.1f} %")
    for groups in (5, 8, 12):
        print(f"{groups:4d} groups, signs flipped: told apart in {100 * false_flips(groups, count // 4, rng):.1f} %")
    for groups in dict.fromkeys(made.groups for made in GAPS):
        own = [made for made in GAPS if made.groups == groups]
        found = np.array([gaps(made, count // 10, rng) for made in own])
        none = np.array([made.people == 0 for made in own])
        print(
            f"{groups:4d} groups, best and worst picked: gap covered in {_range(found[:, 0])}, the worst group in "
            f"{_range(found[:, 1])}; a gap that is none is shown in {100 * found[none, 2].mean():.1f} %, seen as "
            f"{100 * found[none, 3].mean():.0f} points"
        )
    found = [
        coverage_within(images, seeds, spread, count // 2, rng)
        for images in (10, 50, 400)
        for seeds in (1, 3, 5)
        for spread in (0.0, 0.03)
    ]
    print(f"accuracy within one group of 10 to 400 images: covers {100 * min(found):.1f} to {100 * max(found):.1f} %")
