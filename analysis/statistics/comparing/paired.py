"""Two configurations on the same images: how far apart they are, and whether that is more than chance.

The question is about configurations, not about two lucky models: would the first do better than the second, trained
anew with other seeds and used on other images of the same kind?  So the difference is drawn as one configuration's
metric is (`analysis.statistics.uncertainty.sampling`): the same resamples for both, and each one's spread between seeds
added on its own.  McNemar's test stands beside it; it asks less, whether these two trained classifiers differ on new
images.

Differences of accuracy and of macro F1 from all others are one family: their intervals hold at once in 95 % of the
cases, and one leaves out zero exactly where its corrected p value is below 0.05
(`analysis.statistics.comparing.family`).  Holm's p values would be smaller, but no interval goes with them.  The tests
of the trained models answer another question, without intervals, and are a family of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.results import Comparison, Trained, Versus
from analysis.statistics import metrics
from analysis.statistics.comparing.family import Family, together
from analysis.statistics.uncertainty.sampling import Groups, Sampling, resampled_confusions, sampling_of
from analysis.statistics.uncertainty.spread import Drawn, Spread
from analysis.words import p_text, points, signed

Array = NDArray[np.float64]

RESAMPLES = 5000  # more than for an interval: small p values must not be counted in handfuls
_FLIPS_DRAWN = 9999  # sign flips at most, so all of them with up to 13 groups; p is then good to 0.004 at 0.05

_METHOD = (
    "Winner against each other tested configuration on the same {images:,} images: {resampled}, two-sided; {trained}. "
    "Accuracy and macro F1 of {count} comparison{s} are one family: its p values are corrected, and the intervals with "
    "them, so that all hold at once in 95 % of the cases ({rule}). The tests of the trained models are corrected for "
    "{count} comparison{s} too (Bonferroni)."
)
_BOOTSTRAP = (
    "{resamples:,} paired bootstrap resamples of the images, plus what the seeds of each vary beyond that (Student's t)"
)
_GROUPS = (
    "a jackknife over their {groups:,} groups (people, characters, videos), plus what the seeds of each vary "
    "(Student's t)"
)
_MCNEMAR = "McNemar's exact test on {classifiers}, for new images only"
_FLIPS = "for {classifiers}, on new groups only, a permutation test that flips the sign of each group's difference"


@dataclass(frozen=True)
class Contender:
    """One configuration's predictions on the images that all contenders share."""

    config_id: str
    origin: str
    probabilities: NDArray[Any]  # (S, N, C)


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


def flipped(labels: NDArray[Any], first: NDArray[Any], second: NDArray[Any], groups: NDArray[np.int64]) -> float:
    """Return the two-sided p value that two classifiers do as well on groups of the same kind.

    If they do, each group's difference might as well have had the other sign.  All signs are tried where that can be
    (exact), else `_FLIPS_DRAWN` at random.  With fewer than six groups p is never below 0.05.

    Args:
        labels, first, second: (N,) integer classes: the truth and two predictions.
        groups: (N,) integer groups.
    """
    from scipy.stats import permutation_test

    gained = (first == labels).astype(int) - (second == labels)
    each = np.bincount(groups, weights=gained)
    if not each.any():
        return 1.0
    found = permutation_test(
        (each,),
        lambda sample, axis: sample.sum(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_FLIPS_DRAWN,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)


def corrected(p: float, count: int) -> float:
    """Return a p value corrected for ``count`` comparisons by Bonferroni's method."""
    return min(1.0, p * count)


def compare(
    labels: NDArray[Any],
    winner: Contender,
    others: list[Contender],
    *,
    groups: list[str] | None = None,
    comparisons: int | None = None,
    opening: int = 1,
    resamples: int = RESAMPLES,
    rng_seed: int = 0,
) -> Comparison:
    """Compare ``winner`` with each of ``others`` on the same images.

    Args:
        labels: (N,) integer classes.
        winner, others: their predictions, image by image in the same order.
        groups: N names, where the split goes by group; the comparison is then for new groups.
        comparisons: that are corrected for; the number of ``others``, unless ``winner`` was chosen on these images.
        opening: which opening of the held-out split this is.
        resamples: bootstrap resamples.
        rng_seed: makes the result reproducible.
    """
    sampling = sampling_of(groups, len(labels), resamples, rng_seed)
    count = comparisons or len(others)
    own = _resampled(labels, winner, sampling)
    found = [_differences(sampling, own, _resampled(labels, other, sampling), n) for n, other in enumerate(others)]
    family = _family([each for pair in found for each in pair], None if count == len(others) else count)
    pairs = [
        _versus(labels, winner, other, sampling, family, count, *both)
        for other, both in zip(others, found, strict=True)
    ]
    return Comparison(
        opening=opening,
        images=len(labels),
        method=_method(len(labels), [winner, *others], count, sampling, family),
        pairs=pairs,
    )


Resampled = tuple[NDArray[Any], NDArray[Any]]
"""The confusions of each seed, (S, C, C), and on the resamples, (R, S, C, C)."""


def _differences(sampling: Sampling, first: Resampled, second: Resampled, rival: int) -> tuple[Spread, Spread]:
    """Return what is known of the differences of accuracy and of macro F1."""
    accuracy, macro = (
        sampling.difference((metric(first[0]), metric(first[1])), (metric(second[0]), metric(second[1])), rival=rival)
        for metric in (metrics.accuracy, metrics.macro_f1)
    )
    return accuracy, macro


def _family(spreads: list[Spread], comparisons: int | None) -> Family:
    """Return the family of all differences; with ``comparisons`` more might have been told than there are draws of."""
    drawn = [each.draws for each in spreads if isinstance(each, Drawn)]
    if comparisons is None and len(drawn) == len(spreads) and drawn:
        return together(drawn)
    return Family(2 * comparisons if comparisons else len(spreads))


def _versus(
    labels: NDArray[Any],
    winner: Contender,
    other: Contender,
    sampling: Sampling,
    family: Family,
    count: int,
    accuracy: Spread,
    macro: Spread,
) -> Versus:
    low, high = (float(np.clip(bound, -1, 1)) for bound in accuracy.interval(family.level))
    macro_low, macro_high = (float(np.clip(bound, -1, 1)) for bound in macro.interval(family.level))
    p_accuracy, p_macro = (family.corrected(float(each.p())) for each in (accuracy, macro))
    joint, theirs = (each.probabilities.mean(0).argmax(-1) for each in (winner, other))
    only_first, only_second, p = mcnemar(labels, joint, theirs)
    if isinstance(sampling, Groups):
        p = flipped(labels, joint, theirs, sampling.codes)
    return Versus(
        first=winner.config_id,
        second=other.config_id,
        second_origin=other.origin,
        seeds=(len(winner.probabilities), len(other.probabilities)),
        difference=float(accuracy.value),
        low=low,
        high=high,
        p=p_accuracy,
        macro_f1_difference=float(macro.value),
        macro_f1_low=macro_low,
        macro_f1_high=macro_high,
        macro_f1_p=p_macro,
        trained=Trained(
            only_first=only_first,
            only_second=only_second,
            by_group=isinstance(sampling, Groups),
            p=corrected(p, count),
        ),
        words=_words(float(accuracy.value), low, high, p_accuracy),
    )


def _method(images: int, contenders: list[Contender], count: int, sampling: Sampling, family: Family) -> str:
    single = all(len(each.probabilities) == 1 for each in contenders)
    if isinstance(sampling, Groups):
        resampled, trained = _GROUPS.format(groups=sampling.names), _FLIPS
    else:
        resampled, trained = _BOOTSTRAP.format(resamples=sampling.resamples), _MCNEMAR
    return _METHOD.format(
        images=images,
        resampled=resampled,
        trained=trained.format(classifiers="the two models" if single else "the ensembles of their seeds"),
        count=count,
        s="" if count == 1 else "s",
        rule="Bonferroni" if family.smallest is None else "Westfall and Young's smallest p",
    )


def _resampled(labels: NDArray[Any], contender: Contender, sampling: Sampling) -> Resampled:
    """Return the confusions of each seed, (S, C, C), and on resamples that are the same for every contender."""
    predicted = contender.probabilities.argmax(-1)
    classes = contender.probabilities.shape[-1]
    observed = np.stack([metrics.confusion_matrix(labels, row, classes) for row in predicted])
    return observed, resampled_confusions(labels, predicted, classes, sampling)


def _words(value: float, low: float, high: float, p: float) -> str:
    bounds = (
        f"{signed(100 * abs(value))[1:]} points {'more' if value > 0 else 'less'} accurate" if value else "as accurate"
    )
    interval = f"95 % interval {points(low)} to {points(high)}"
    told = f"p {p_text(p)}" if p < 0.001 else f"p = {p_text(p)}"
    if low <= 0 <= high:
        return f"no difference shown: {bounds}, {interval}, corrected {told}"
    return f"{bounds}: {interval}, corrected {told}"
