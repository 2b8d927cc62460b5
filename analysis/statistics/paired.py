"""Two configurations on the same images: how far apart they are, and whether that is more than chance.

The question is about configurations, not about two lucky models: would the first do better than the second, trained
anew with other seeds and used on other images of the same kind?  So the difference is drawn as one configuration's
metric is (`intervals.draws`): the same resampled images for both, and each one's spread between seeds added
on its own.  McNemar's test stands beside it; it asks less, whether these two trained classifiers differ on new images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.results import Comparison, McNemar, Versus
from analysis.statistics import metrics
from analysis.statistics.intervals import Metric, draws, resampled_confusions

Array = NDArray[np.float64]

RESAMPLES = 5000  # more than for an interval: small p values must not be counted in handfuls

_METHOD = (
    "Winner against each other tested configuration on the same {images:,} images: {resamples:,} paired bootstrap "
    "resamples of the images, plus what the seeds of each vary beyond that (Student's t), two-sided; McNemar's exact "
    "test on {classifiers}, for new images only. p values are corrected for {count} comparison{s} by Holm's "
    "method."
)


@dataclass(frozen=True)
class Contender:
    """One configuration's predictions on the images that all contenders share."""

    config_id: str
    origin: str
    probabilities: NDArray[Any]  # (S, N, C)


@dataclass(frozen=True)
class Difference:
    """A difference of two means over seeds, with a 95 % interval; arrays where the metric has more than one value."""

    value: Array
    low: Array
    high: Array
    p: Array  # two-sided
    probability: Array  # that it is above zero


def difference(
    first: tuple[Array, Array], second: tuple[Array, Array], rng: np.random.Generator, level: float = 0.95
) -> Difference:
    """Return the difference of a metric between two configurations.

    Args:
        first, second: the metric of each seed on the images, (S, ...), and on the resamples, (B, S, ...); the same
            resamples for both, while the seeds may differ in number.
        rng: the source of randomness.
        level: confidence level.
    """
    drawn = draws(*first, rng) - draws(*second, rng)
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    below, above = (drawn <= 0).sum(0), (drawn >= 0).sum(0)
    p = np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (len(drawn) + 1))
    probability = ((drawn > 0).sum(0) + 0.5 * (drawn == 0).sum(0)) / len(drawn)
    return Difference(first[0].mean(0) - second[0].mean(0), low, high, p, probability)


def mcnemar(labels: NDArray[Any], first: NDArray[Any], second: NDArray[Any]) -> tuple[int, int, float]:
    """Return how many images only the first, and only the second, has right, and McNemar's exact two-sided p.

    Args:
        labels, first, second: (N,) integer classes: the truth and two predictions.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact

    right, other = first == labels, second == labels
    table = [[int((a & b).sum()) for b in (other, ~other)] for a in (right, ~right)]
    if table[0][1] + table[1][0] == 0:
        return 0, 0, 1.0
    return table[0][1], table[1][0], float(min(1.0, exact(table, exact=True).pvalue))


def holm(p: list[float]) -> list[float]:
    """Return p values corrected for their number by Holm's method."""
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p, method="holm")[1]] if p else []


def compare(
    labels: NDArray[Any],
    winner: Contender,
    others: list[Contender],
    *,
    opening: int = 1,
    resamples: int = RESAMPLES,
    rng_seed: int = 0,
) -> Comparison:
    """Compare ``winner`` with each of ``others`` on the same images.

    Args:
        labels: (N,) integer classes.
        winner, others: their predictions, image by image in the same order.
        opening: which opening of the held-out split this is.
        resamples: bootstrap resamples.
        rng_seed: makes the result reproducible.
    """
    own = _resampled(labels, winner, resamples, rng_seed)
    joint = winner.probabilities.mean(0).argmax(-1)
    found = []
    for other in others:
        theirs = _resampled(labels, other, resamples, rng_seed)
        accuracy, macro = (
            difference(_of(metric, own), _of(metric, theirs), np.random.default_rng(rng_seed + 1))
            for metric in (metrics.accuracy, metrics.macro_f1)
        )
        found.append((other, accuracy, macro, mcnemar(labels, joint, other.probabilities.mean(0).argmax(-1))))
    corrected = holm([float(accuracy.p) for _, accuracy, _, _ in found])
    corrected_mcnemar = holm([p for _, _, _, (_, _, p) in found])
    pairs = []
    for (other, accuracy, macro, (only_first, only_second, p)), p_holm, mcnemar_holm in zip(
        found, corrected, corrected_mcnemar, strict=True
    ):
        pairs.append(
            Versus(
                first=winner.config_id,
                second=other.config_id,
                second_origin=other.origin,
                seeds=(len(winner.probabilities), len(other.probabilities)),
                difference=float(accuracy.value),
                low=float(accuracy.low),
                high=float(accuracy.high),
                macro_f1_difference=float(macro.value),
                macro_f1_low=float(macro.low),
                macro_f1_high=float(macro.high),
                probability=float(accuracy.probability),
                p=float(accuracy.p),
                p_holm=p_holm,
                mcnemar=McNemar(only_first=only_first, only_second=only_second, p=p, p_holm=mcnemar_holm),
                words=_words(float(accuracy.value), float(accuracy.low), float(accuracy.high), p_holm),
            )
        )
    single = all(len(each.probabilities) == 1 for each in (winner, *others))
    method = _METHOD.format(
        images=len(labels),
        resamples=resamples,
        classifiers="the two models" if single else "the ensembles of their seeds",
        count=len(others),
        s="" if len(others) == 1 else "s",
    )
    return Comparison(opening=opening, images=len(labels), method=method, pairs=pairs)


def _resampled(
    labels: NDArray[Any], contender: Contender, resamples: int, rng_seed: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the confusions of each seed, (S, C, C), and on resamples that are the same for every contender."""
    predicted = contender.probabilities.argmax(-1)
    classes = contender.probabilities.shape[-1]
    observed = np.stack([metrics.confusion_matrix(labels, row, classes) for row in predicted])
    return observed, resampled_confusions(labels, predicted, classes, resamples, np.random.default_rng(rng_seed))


def _of(metric: Metric, confusions: tuple[NDArray[Any], NDArray[Any]]) -> tuple[Array, Array]:
    return metric(confusions[0]), metric(confusions[1])


def _words(value: float, low: float, high: float, p: float) -> str:
    bounds = f"{abs(100 * value):.1f} points {'more' if value >= 0 else 'less'} accurate"
    interval = f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    corrected = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    if p >= 0.05:
        return f"no difference shown: {bounds}, {interval}, corrected {corrected}"
    return f"{bounds}: {interval}, corrected {corrected}"
