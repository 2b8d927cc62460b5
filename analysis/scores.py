"""What `test/<config>/metrics.json` holds, and how it is computed from predicted probabilities."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from analysis import metrics
from analysis.statistics import RESAMPLES, Metric, metric_interval, resampled_confusions, wilson


class Estimate(BaseModel):
    """A metric in [0, 1]: its mean over seeds, the interval, and each seed's value in the order of the seeds."""

    model_config = ConfigDict(extra="forbid")
    value: float
    low: float
    high: float
    per_seed: list[float]


class ClassScores(BaseModel):
    """Scores of one class; ``support`` is its number of images."""

    model_config = ConfigDict(extra="forbid")
    name: str
    support: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


class EnsembleScores(BaseModel):
    """One classifier made of all seeds (mean of their probabilities); the interval is Wilson's, of its accuracy."""

    model_config = ConfigDict(extra="forbid")
    accuracy: float
    low: float
    high: float
    balanced_accuracy: float
    macro_f1: float


class Scores(BaseModel):
    """Everything computed from the predictions of one configuration's seeds on the same images."""

    model_config = ConfigDict(extra="forbid")
    images: int
    classes: list[str]
    seeds: list[int]
    level: float
    method: str  # how the intervals were made, in words
    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_f1: Estimate
    per_class: list[ClassScores]
    confusion: list[list[list[int]]]  # (S, C, C) counts: seed, true class, predicted class
    ensemble: EnsembleScores | None = None  # None with one seed
    largest_class: float  # accuracy of always answering the class with the most images


class TestResult(Scores):
    """What `metrics.json` holds: the scores, and what they are about."""

    __test__ = False  # not a test case, whatever its name says to pytest

    format_version: Literal[1] = 1
    config_id: str
    backbone: str
    origin: str
    config: dict[str, Any]
    when: str  # ISO 8601, UTC: the opening of the split that gave these predictions
    opening: int  # how many times the split had been opened in this run, this one included
    selection: str  # how the configuration was chosen, in words
    dataset: str
    content_hash: str
    split_hash: str
    fer_tune: str  # version


_BOOTSTRAP = (
    "95 % interval for new images and new seeds: {resamples:,} bootstrap resamples of the {images:,} test images, the "
    "same for all {seeds} seeds, plus what the seeds vary beyond that, by Student's t with "
    "{freedom} degree{s} of freedom."
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
    ensemble = None
    if len(seeds) == 1:
        alone = wilson(int(np.trace(confusions[0])), len(labels))
        accuracy = accuracy.model_copy(update={"low": alone.low, "high": alone.high})
    else:
        joint = metrics.confusion_matrix(labels, probabilities.mean(0).argmax(-1), count)
        interval = wilson(int(np.trace(joint)), len(labels))
        ensemble = EnsembleScores(
            accuracy=interval.estimate,
            low=interval.low,
            high=interval.high,
            balanced_accuracy=float(metrics.balanced_accuracy(joint)),
            macro_f1=float(metrics.macro_f1(joint)),
        )
    support = confusions[0].sum(-1)
    answered = confusions.sum(1).mean(0).round().astype(int)  # predictions of each class, mean over seeds
    precision = [_widened(e, int(n)) for e, n in zip(estimate(metrics.precision), answered, strict=True)]
    recall = [_widened(e, int(n)) for e, n in zip(estimate(metrics.recall), support, strict=True)]
    f1 = [_f1_widened(*three) for three in zip(estimate(metrics.f1), precision, recall, strict=True)]
    rows = zip(classes, support, precision, recall, f1, strict=True)
    freedom = len(seeds) - 1
    words = _BOOTSTRAP if len(seeds) > 1 else _SINGLE
    return Scores(
        images=len(labels),
        classes=classes,
        seeds=seeds,
        level=0.95,
        method=words.format(
            resamples=resamples, images=len(labels), seeds=len(seeds), freedom=freedom, s="" if freedom == 1 else "s"
        ),
        accuracy=accuracy,
        balanced_accuracy=balanced,
        macro_f1=macro,
        per_class=[
            ClassScores(name=name, support=int(images), precision=p, recall=r, f1=f) for name, images, p, r, f in rows
        ],
        confusion=confusions.tolist(),
        ensemble=ensemble,
        largest_class=float(support.max() / support.sum()),
    )


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
