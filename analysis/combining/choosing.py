"""Choose on validation how the refitted models are used, so that the choice does not run after its own luck.

What is fitted to images is judged on others: the shares of the greedy ensemble are fitted anew without each part of the
validation images, and scored on that part.  Among all ways the cheapest within one standard error of the best is taken
(Breiman, Friedman, Olshen & Stone, Classification and Regression Trees, 1984, 3.4.3): more passes for a gain that may
be luck are not worth it.  And the whole choice is made again without each part, which then tells what it gains: the
figure that it was chosen by flatters, that one does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.combining.greedy import greedy_shares
from analysis.combining.judging import Judge
from analysis.run.combinations import Kind
from fer_tune.data.batching.views import VIEWS
from fer_tune.objectives import Aim

FOLDS = 5
"""Parts of the validation images, as cross-validation usually has them (5 or 10); more cost more and change little."""


@dataclass(frozen=True)
class Library:
    """What every refitted model predicts for the validation images.

    Attributes:
        labels: (N,) integer classes.
        predicted: by views, (M, N, C) probabilities of M models.
        seeds: rows of the M that are the seeds of the winner.
        averaged: by views, (N, C) of the model with averaged weights; empty where there is none.
        groups: N names, where the split goes by group.
    """

    labels: NDArray[Any]
    predicted: dict[str, NDArray[Any]]
    seeds: list[int]
    averaged: dict[str, NDArray[Any]]
    groups: list[str] | None = None

    def part(self, images: NDArray[np.bool_]) -> Library:
        """Return the library of some of the images, (N,) bool."""
        return Library(
            self.labels[images],
            {views: found[:, images] for views, found in self.predicted.items()},
            self.seeds,
            {views: found[images] for views, found in self.averaged.items()},
            None if self.groups is None else [name for name, kept in zip(self.groups, images, strict=True) if kept],
        )


@dataclass(frozen=True)
class Way:
    """A way to use the models, judged on validation images that none of its shares was fitted to.

    Attributes:
        shares: (M,) of the models of the library; zeros for averaged weights.
        passes: forward passes for one image.
        value: what the run judges by, more is better.
        gain: over the single model and the image alone.
        margin: one standard error of the gain.
    """

    kind: Kind
    views: str
    shares: NDArray[np.float64]
    passes: int
    value: float
    gain: float
    margin: float


@dataclass(frozen=True)
class Found:
    """Every way, the cheapest first, and the one that is chosen.

    Attributes:
        ways: all of them.
        chosen: the place of the chosen one.
        gain: what the whole choice gains over the single model, on images that had no part in it.
        margin: one standard error of that.
    """

    ways: list[Way]
    chosen: int
    gain: float
    margin: float


def choose(library: Library, aim: Aim) -> Found:
    """Judge every way to use the models of ``library``, and choose.

    With one image, or one person, nothing can be judged by others: the single model is chosen.
    """
    judge = Judge(aim, library.labels, library.groups)
    ways, chosen = _choose(library, judge, aim)
    parts = _parts(judge.units)
    single = library.predicted["none"][library.seeds]
    made = single.astype(np.float64)
    for part in parts:
        rest = library.part(~part)
        found, place = _choose(rest, Judge(aim, rest.labels, rest.groups), aim)
        made[:, part] = _used(found[place], library.part(part))
    gain, margin = _gain(judge, made, single)
    return Found(ways, chosen, gain, margin)


def _choose(library: Library, judge: Judge, aim: Aim) -> tuple[list[Way], int]:
    single = library.predicted["none"][library.seeds]
    scored = [(way, _judged(way, library, judge, aim)) for way in _ways(library, judge)]
    ways = []
    for way, block in scored:
        gain, margin = _gain(judge, block, single)
        ways.append(Way(way.kind, way.views, way.shares, way.passes, float(judge.values(block).mean()), gain, margin))
    order = sorted(range(len(ways)), key=lambda number: (ways[number].passes, number))
    ways, blocks = [ways[number] for number in order], [scored[number][1] for number in order]
    best = max(range(len(ways)), key=lambda number: ways[number].value)
    for number, block in enumerate(blocks):
        behind, margin = _gain(judge, blocks[best], block)
        if behind <= margin:
            return ways, number
    return ways, best


def _ways(library: Library, judge: Judge) -> list[Way]:
    """Return every way, fitted to all images of the library; not judged yet."""
    found = []
    for views, predicted in library.predicted.items():
        count = len(predicted)
        kinds: list[tuple[Kind, NDArray[np.float64], int]] = []
        seeds = np.zeros(count)
        seeds[library.seeds] = 1 / len(library.seeds)
        kinds.append(("single", seeds, 1))
        if views in library.averaged:
            kinds.append(("soup", np.zeros(count), 1))
        if len(library.seeds) > 1:
            kinds.append(("ensemble", seeds, len(library.seeds)))
        if count > len(library.seeds):
            shares = greedy_shares(predicted, judge)
            kinds.append(("greedy", shares, int((shares > 0).sum())))
        found += [Way(kind, views, shares, n * VIEWS[views], 0.0, 0.0, 0.0) for kind, shares, n in kinds]
    return found


def _judged(way: Way, library: Library, judge: Judge, aim: Aim) -> NDArray[Any]:
    """Return what ``way`` predicts for images that it was not fitted to, (K, N, C); their mean score counts."""
    if way.kind != "greedy":
        return _used(way, library)
    found = np.empty((1, *library.predicted[way.views].shape[1:]))
    for part in _parts(judge.units):
        rest = library.part(~part)
        shares = greedy_shares(rest.predicted[way.views], Judge(aim, rest.labels, rest.groups))
        found[0, part] = np.tensordot(shares, library.predicted[way.views][:, part], 1)
    return found


def _used(way: Way, library: Library) -> NDArray[Any]:
    """Return what ``way`` predicts for the images of ``library``, (K, N, C)."""
    if way.kind == "single":
        return library.predicted[way.views][library.seeds]
    if way.kind == "soup":
        return library.averaged[way.views][None]
    return np.tensordot(way.shares, library.predicted[way.views], 1)[None]


def _gain(judge: Judge, first: NDArray[Any], second: NDArray[Any]) -> tuple[float, float]:
    """Return how much better ``first`` is than ``second``, each (K, N, C), and one standard error of that."""
    difference = float(judge.values(first).mean() - judge.values(second).mean())
    return difference, judge.margin(difference, judge.resampled(first).mean(1) - judge.resampled(second).mean(1))


def _parts(units: NDArray[Any]) -> list[NDArray[np.bool_]]:
    """Return up to `FOLDS` parts of the images, (N,) bool each, that keep what belongs together together."""
    count = int(units.max()) + 1
    parts = np.random.default_rng(0).permutation(count) % FOLDS  # always the same ones
    return [parts[units] == part for part in range(min(FOLDS, count))] if count > 1 else []
