"""Score predicted probabilities: every metric with its interval, per class and over all, and the seeds' ensemble."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.results import ClassScores, EnsembleScores, Estimate, Scores
from analysis.statistics import metrics
from analysis.statistics.calibration.errors import calibration, calibration_errors
from analysis.statistics.calibration.probabilistic import probability_metrics
from analysis.statistics.uncertainty.intervals import wilson
from analysis.statistics.uncertainty.sampling import (
    RESAMPLES,
    Groups,
    Sampling,
    metric_spread,
    resampled_confusions,
    sampling_of,
)
from analysis.statistics.uncertainty.spread import Spread

Array = NDArray[np.float64]
Metric = Callable[[NDArray[Any]], Array]  # (..., C, C) confusions -> (..., *shape of the metric)

FEWER_RESAMPLES = 500  # of what must sort the images: AUC, and with it what is computed from probabilities


_BOOTSTRAP = (
    "95 % interval for new images and new seeds: {resamples:,} bootstrap resamples of the {images:,} test images "
    "({fewer:,} for what is of probabilities), the same for all {seeds} seeds, plus what the seeds vary beyond "
    "that, by Student's t with {freedom} degree{s} of freedom."
)
_SINGLE = (
    "95 % interval for new images only, of this one trained model (Wilson for the accuracy, {resamples:,} bootstrap "
    "resamples of the {images:,} test images for the rest): one seed tells nothing about how others would do."
)
_GROUPS = (
    "95 % interval for new groups (people, characters, videos){and_seeds}: the {groups:,} groups of the {images:,} "
    "test images left out in turn (jackknife), by Student's t with the degrees of freedom of as many groups of equal "
    "size as weigh as much, less one{plus_seeds}."
)
_ONE_GROUP = " All test images are of one group (a person, a character, a video): nothing is known about others."


def score(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    classes: list[str],
    seeds: list[int],
    *,
    groups: list[str] | None = None,
    resamples: int = RESAMPLES,
    rng_seed: int = 0,
) -> Scores:
    """Score the predictions of several seeds of one configuration.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C), a block per seed.
        classes: the C names.
        seeds: the S seeds.
        groups: N names, where the split goes by group; intervals are then for new groups.
        resamples: bootstrap resamples.
        rng_seed: makes the intervals reproducible.
    """
    predicted = probabilities.argmax(-1)
    count = len(classes)
    sampling = sampling_of(groups, len(labels), resamples, rng_seed)
    confusions = np.stack([metrics.confusion_matrix(labels, row, count) for row in predicted])
    resampled = resampled_confusions(labels, predicted, count, sampling)
    is_class = np.eye(count)[labels]  # (N, C)
    of_class = sampling.in_groups(is_class)
    of_others = sampling.in_groups(1 - is_class)
    of_answers = sampling.in_groups(np.eye(count)[predicted].mean(0))

    def estimate(metric: Metric, share: NDArray[Any] | None = None) -> list[Estimate]:
        spread = metric_spread(metric, confusions, resampled, sampling, share)
        return _estimates(spread, metric(confusions), top=1.0)

    [accuracy], [balanced], [macro] = map(estimate, (metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1))
    more = {name: estimate(metric)[0] for name, metric in metrics.AVERAGED.items()}
    fewer = sampling_of(groups, len(labels), min(resamples, FEWER_RESAMPLES), rng_seed)
    observed, drawn = _probability_draws(labels, probabilities, fewer)
    for name in ("macro_auc", "weighted_auc", "log_loss", "brier"):
        [more[name]] = _probability_estimates(name, observed[name], drawn[name], fewer)
    more |= calibration(labels, probabilities, sampling)
    ensemble = None
    if len(seeds) > 1:
        ensemble = ensemble_scores(labels, probabilities, sampling)
    elif not isinstance(sampling, Groups):
        accuracy = _by_wilson(accuracy, confusions[0])
    support = confusions[0].sum(-1)
    answered = confusions.sum(1).mean(0).round().astype(int)  # predictions of each class, mean over seeds
    precision = _widened(estimate(metrics.precision, of_answers), answered, of_answers)
    recall = _widened(estimate(metrics.recall, of_class), support, of_class)
    f1 = [_f1_widened(*three) for three in zip(estimate(metrics.f1, of_class), precision, recall, strict=True)]
    others = _widened(estimate(metrics.specificity, of_others), len(labels) - support, of_others)
    areas = _probability_estimates("auc", observed["auc"], drawn["auc"], fewer, of_class)
    calibrations = calibration_errors(labels, probabilities, sampling)
    return Scores(
        images=len(labels),
        classes=classes,
        seeds=seeds,
        level=0.95,
        method=_method(len(labels), len(seeds), resamples, sampling, groups),
        groups_sampled=len(set(groups)) if groups else 0,
        accuracy=accuracy,
        balanced_accuracy=balanced,
        macro_f1=macro,
        more=more,
        per_class=[
            ClassScores(
                name=name,
                support=int(support[i]),
                precision=precision[i],
                recall=recall[i],
                f1=f1[i],
                specificity=others[i],
                auc=areas[i] if 0 < support[i] < len(labels) else None,
                calibration=calibrations[i],
            )
            for i, name in enumerate(classes)
        ],
        confusion=confusions.tolist(),
        ensemble=ensemble,
        largest_class=float(support.max() / support.sum()),
    )


def _method(images: int, seeds: int, resamples: int, sampling: Sampling, groups: list[str] | None) -> str:
    freedom = seeds - 1
    if isinstance(sampling, Groups):
        words = _GROUPS.format(
            and_seeds=" and new seeds" if freedom else " only, of this one trained model",
            groups=sampling.names,
            images=images,
            plus_seeds=f"; with {freedom} for what the seeds vary" if freedom else "",
        )
        return words if freedom else f"{words} One seed tells nothing about how others would do."
    words = (_BOOTSTRAP if freedom else _SINGLE).format(
        resamples=resamples,
        fewer=min(resamples, FEWER_RESAMPLES),
        images=images,
        seeds=seeds,
        freedom=freedom,
        s="" if freedom == 1 else "s",
    )
    return words + _ONE_GROUP if groups and len(set(groups)) == 1 else words


def _estimates(spread: Spread, each: Array, top: float | None) -> list[Estimate]:
    """Return an estimate per value of a metric; ``each`` is (S, ...), and no value is below 0 or above ``top``."""
    low, high = (np.clip(np.atleast_1d(bound), 0, top) for bound in spread.interval())
    value, each = np.atleast_1d(spread.value), each.reshape(len(each), -1)
    return [Estimate(value=value[i], low=low[i], high=high[i], per_seed=each[:, i].tolist()) for i in range(len(value))]


def _probability_draws(
    labels: NDArray[Any], probabilities: NDArray[Any], sampling: Sampling
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the metrics of probabilities on the images, (S, ...), and on the resamples, (R, S, ...)."""
    alone = probability_metrics(labels, probabilities, np.ones((1, len(labels)), dtype=np.float32))
    blocks = [probability_metrics(labels, probabilities, weights) for weights in sampling.weights()]
    return {name: value[0] for name, value in alone.items()}, {
        name: np.concatenate([block[name] for block in blocks]) for name in alone
    }


def _probability_estimates(
    name: str, observed: Array, resampled: Array, sampling: Sampling, share: NDArray[Any] | None = None
) -> list[Estimate]:
    found = _estimates(
        sampling.spread(observed, resampled, share), observed, {"log_loss": None, "brier": 2.0}.get(name, 1.0)
    )
    return [
        each.model_copy(update={"low": min(each.low, each.value), "high": max(each.high, each.value)}) for each in found
    ]


def ensemble_scores(labels: NDArray[Any], probabilities: NDArray[Any], sampling: Sampling) -> EnsembleScores:
    """Score one classifier that averages the probabilities of all seeds, (S, N, C)."""
    joint = probabilities.mean(0, keepdims=True)
    predicted, classes = joint.argmax(-1), joint.shape[-1]
    confusion = metrics.confusion_matrix(labels, predicted[0], classes)
    resampled = resampled_confusions(labels, predicted, classes, sampling)

    def estimate(metric: Metric) -> Estimate:
        spread = metric_spread(metric, confusion[None], resampled, sampling)
        return _estimates(spread, metric(confusion[None]), top=1.0)[0]

    accuracy = estimate(metrics.accuracy)
    if not isinstance(sampling, Groups):
        accuracy = _by_wilson(accuracy, confusion)
    of_probabilities = probability_metrics(labels, joint, np.ones((1, len(labels)), dtype=np.float32))
    more = {name: float(metric(confusion)) for name, metric in metrics.AVERAGED.items()}
    more |= {name: float(of_probabilities[name].item()) for name in of_probabilities if name != "auc"}
    more |= {name: each.value for name, each in calibration(labels, joint, sampling).items()}
    return EnsembleScores(
        accuracy=accuracy,
        balanced_accuracy=estimate(metrics.balanced_accuracy),
        macro_f1=estimate(metrics.macro_f1),
        more=more,
    )


def _by_wilson(accuracy: Estimate, confusion: NDArray[Any]) -> Estimate:
    alone = wilson(int(np.trace(confusion)), int(confusion.sum()))
    return accuracy.model_copy(update={"low": alone.low, "high": alone.high})


def _widened(estimates: list[Estimate], images: NDArray[Any], in_groups: NDArray[Any] | None = None) -> list[Estimate]:
    """Give an interval to a share that is 0 or 1 in every resample, where resampling sees no uncertainty: Wilson's.

    Args:
        estimates: of C classes.
        images: (C,) that each share is of.
        in_groups: (G, C) those images by group; the groups that have any count then, as one image each.
    """
    counts = images if in_groups is None else (in_groups > 0).sum(0)
    found = []
    for estimate, count in zip(estimates, counts, strict=True):
        if estimate.low < estimate.high:
            found.append(estimate)
        elif count == 0:  # never predicted, or no image of the class
            found.append(estimate.model_copy(update={"low": 0.0, "high": 1.0}))
        else:
            alone = wilson(estimate.value * int(count), int(count))
            found.append(estimate.model_copy(update={"low": alone.low, "high": alone.high}))
    return found


def _f1_widened(estimate: Estimate, precision: Estimate, recall: Estimate) -> Estimate:
    """Give an F1 that is the same in every resample the bounds that those of precision and recall allow."""
    if estimate.low < estimate.high:
        return estimate
    pairs = ((precision.low, recall.low), (precision.high, recall.high))
    low, high = (2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs)
    return estimate.model_copy(update={"low": min(low, estimate.value), "high": max(high, estimate.value)})
