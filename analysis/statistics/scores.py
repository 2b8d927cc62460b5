"""Score predicted probabilities: every metric with its interval, per class and over all, and the seeds' ensemble."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.results import ClassScores, EnsembleScores, Estimate, GroupScore, Scores
from analysis.statistics import metrics
from analysis.statistics.intervals import (
    RESAMPLES,
    Metric,
    draws,
    image_weights,
    metric_interval,
    resampled_confusions,
    wilson,
)
from analysis.statistics.probabilistic import probability_metrics

Array = NDArray[np.float64]

FEWER_RESAMPLES = 500  # of what must sort the images: AUC, and with it what is computed from probabilities


_BOOTSTRAP = (
    "95 % interval for new images and new seeds: {resamples:,} bootstrap resamples of the {images:,} test images "
    "({fewer:,} for AUC, log loss and calibration), the same for all {seeds} seeds, plus what the seeds vary beyond "
    "that, by Student's t with {freedom} degree{s} of freedom."
)
_SINGLE = (
    "95 % interval for new images only, of this one trained model (Wilson for the accuracy, {resamples:,} bootstrap "
    "resamples of the {images:,} test images for the rest): one seed tells nothing about how others would do."
)


def score(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    classes: list[str],
    seeds: list[int],
    *,
    resamples: int = RESAMPLES,
    rng_seed: int = 0,
) -> Scores:
    """Score the predictions of several seeds of one configuration.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C), a block per seed.
        classes: the C names.
        seeds: the S seeds.
        resamples: bootstrap resamples.
        rng_seed: makes the intervals reproducible.
    """
    predicted = probabilities.argmax(-1)
    count = len(classes)
    confusions = np.stack([metrics.confusion_matrix(labels, row, count) for row in predicted])
    resampled = resampled_confusions(labels, predicted, count, resamples, np.random.default_rng(rng_seed))

    def estimate(metric: Metric) -> list[Estimate]:
        value, low, high = (np.atleast_1d(part) for part in metric_interval(metric, confusions, resampled, rng_seed))
        each = metric(confusions).reshape(len(seeds), -1)
        low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
        return [
            Estimate(value=value[i], low=low[i], high=high[i], per_seed=each[:, i].tolist()) for i in range(len(value))
        ]

    [accuracy], [balanced], [macro] = map(estimate, (metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1))
    more = {name: estimate(metric)[0] for name, metric in metrics.AVERAGED.items()}
    observed, drawn = _probability_draws(labels, probabilities, resamples, rng_seed)
    for name in ("macro_auc", "weighted_auc", "log_loss", "calibration_error"):
        [more[name]] = _probability_estimates(name, observed[name], drawn[name], rng_seed)
    ensemble = None
    if len(seeds) == 1:
        alone = wilson(int(np.trace(confusions[0])), len(labels))
        accuracy = accuracy.model_copy(update={"low": alone.low, "high": alone.high})
    else:
        ensemble = ensemble_scores(labels, probabilities)
    support = confusions[0].sum(-1)
    answered = confusions.sum(1).mean(0).round().astype(int)  # predictions of each class, mean over seeds
    precision = [_widened(e, int(n)) for e, n in zip(estimate(metrics.precision), answered, strict=True)]
    recall = [_widened(e, int(n)) for e, n in zip(estimate(metrics.recall), support, strict=True)]
    f1 = [_f1_widened(*three) for three in zip(estimate(metrics.f1), precision, recall, strict=True)]
    others = [_widened(e, int(len(labels) - n)) for e, n in zip(estimate(metrics.specificity), support, strict=True)]
    areas = _probability_estimates("auc", observed["auc"], drawn["auc"], rng_seed)
    freedom = len(seeds) - 1
    words = _BOOTSTRAP if len(seeds) > 1 else _SINGLE
    return Scores(
        images=len(labels),
        classes=classes,
        seeds=seeds,
        level=0.95,
        method=words.format(
            resamples=resamples,
            fewer=min(resamples, FEWER_RESAMPLES),
            images=len(labels),
            seeds=len(seeds),
            freedom=freedom,
            s="" if freedom == 1 else "s",
        ),
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
            )
            for i, name in enumerate(classes)
        ],
        confusion=confusions.tolist(),
        ensemble=ensemble,
        largest_class=float(support.max() / support.sum()),
    )


def _probability_draws(
    labels: NDArray[Any], probabilities: NDArray[Any], resamples: int, rng_seed: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the metrics of probabilities on the images, (S, ...), and on the same resamples, (B, S, ...)."""
    alone = probability_metrics(labels, probabilities, np.ones((1, len(labels)), dtype=np.float32))
    blocks = [
        probability_metrics(labels, probabilities, weights)
        for weights in image_weights(len(labels), min(resamples, FEWER_RESAMPLES), np.random.default_rng(rng_seed))
    ]
    return {name: value[0] for name, value in alone.items()}, {
        name: np.concatenate([block[name] for block in blocks]) for name in alone
    }


def _probability_estimates(name: str, observed: Array, resampled: Array, rng_seed: int) -> list[Estimate]:
    found = draws(observed, resampled, np.random.default_rng(rng_seed))
    if name == "calibration_error":  # distances: resampling adds noise to each bin, and so to the error itself
        found = found - (resampled.mean((0, 1)) - observed.mean(0))
    low, high = np.atleast_2d(np.quantile(found, [0.025, 0.975], axis=0).T).T
    value = np.atleast_1d(observed.mean(0))
    each = observed.reshape(len(observed), -1)
    top = None if name == "log_loss" else 1.0
    low, high = np.clip(np.minimum(low, value), 0, top), np.clip(np.maximum(high, value), 0, top)
    return [Estimate(value=value[i], low=low[i], high=high[i], per_seed=each[:, i].tolist()) for i in range(len(value))]


def ensemble_scores(labels: NDArray[Any], probabilities: NDArray[Any]) -> EnsembleScores:
    """Score one classifier that averages the probabilities of all seeds, (S, N, C)."""
    joint = probabilities.mean(0, keepdims=True)
    confusion = metrics.confusion_matrix(labels, joint[0].argmax(-1), joint.shape[-1])
    interval = wilson(int(np.trace(confusion)), len(labels))
    of_probabilities = probability_metrics(labels, joint, np.ones((1, len(labels)), dtype=np.float32))
    more = {name: float(metric(confusion)) for name, metric in metrics.AVERAGED.items()}
    more |= {name: float(of_probabilities[name].item()) for name in of_probabilities if name != "auc"}
    return EnsembleScores(
        accuracy=interval.estimate,
        low=interval.low,
        high=interval.high,
        balanced_accuracy=float(metrics.balanced_accuracy(confusion)),
        macro_f1=float(metrics.macro_f1(confusion)),
        more=more,
    )


def group_scores(labels: NDArray[Any], probabilities: NDArray[Any], groups: list[str]) -> list[GroupScore]:
    """Return the accuracy in each group of images, the least accurate first; empty where there is one group or none.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C).
        groups: N names.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return []
    right = (probabilities.argmax(-1) == labels).mean(0)  # (N,) share of the seeds
    found = []
    for name in names:
        own = right[np.asarray(groups) == name]
        interval = wilson(round(float(own.sum())), len(own))
        found.append(
            GroupScore(group=name, images=len(own), accuracy=float(own.mean()), low=interval.low, high=interval.high)
        )
    return sorted(found, key=lambda row: (row.accuracy, row.group))


def _widened(estimate: Estimate, images: int) -> Estimate:
    """Give an interval to a share that is 0 or 1 in every resample, where a bootstrap sees no uncertainty: Wilson's."""
    if estimate.low < estimate.high:
        return estimate
    if images == 0:  # never predicted, or no image of the class
        return estimate.model_copy(update={"low": 0.0, "high": 1.0})
    alone = wilson(round(estimate.value * images), images)
    return estimate.model_copy(update={"low": alone.low, "high": alone.high})


def _f1_widened(estimate: Estimate, precision: Estimate, recall: Estimate) -> Estimate:
    """Give an F1 that is the same in every resample the bounds that those of precision and recall allow."""
    if estimate.low < estimate.high:
        return estimate
    pairs = ((precision.low, recall.low), (precision.high, recall.high))
    low, high = (2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs)
    return estimate.model_copy(update={"low": min(low, estimate.value), "high": max(high, estimate.value)})
