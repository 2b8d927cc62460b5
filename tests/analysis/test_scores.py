"""Metrics against scikit-learn, on predictions with every kind of gap."""

from __future__ import annotations

import numpy as np
import pytest
from fake_run import CLASSES, guesses
from sklearn import metrics as sk

from analysis.results import MORE, Estimate
from analysis.statistics import metrics
from analysis.statistics.calibration.errors import ERRORS
from analysis.statistics.groups.within_groups import group_scores
from analysis.statistics.scores import score


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, predicted = (
        rng.integers(0, 6, 80),
        rng.integers(1, 7, 80),
    )  # class 6 without support, class 0 never predicted
    confusion = metrics.confusion_matrix(labels, predicted, 7)
    assert (confusion == sk.confusion_matrix(labels, predicted, labels=range(7))).all()
    assert metrics.accuracy(confusion) == pytest.approx(sk.accuracy_score(labels, predicted))
    assert metrics.macro_f1(confusion) == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(labels, predicted, labels=range(7), zero_division=0)
    assert metrics.precision(confusion) == pytest.approx(precision)
    assert metrics.recall(confusion) == pytest.approx(recall)
    assert metrics.f1(confusion) == pytest.approx(f1)
    for average in ("macro", "weighted"):
        expected = sk.precision_recall_fscore_support(labels, predicted, average=average, zero_division=0)[:3]
        for name, value in zip(("precision", "recall", "f1"), expected, strict=True):
            if (average, name) != ("macro", "f1"):
                assert metrics.AVERAGED[f"{average}_{name}"](confusion) == pytest.approx(value)
    binary = sk.multilabel_confusion_matrix(labels, predicted, labels=range(7))
    specificity = binary[:, 0, 0] / binary[:, 0].sum(1)
    assert metrics.specificity(confusion) == pytest.approx(specificity)
    assert metrics.AVERAGED["macro_specificity"](confusion) == pytest.approx(specificity.mean())
    support = np.bincount(labels, minlength=7)
    assert metrics.AVERAGED["weighted_specificity"](confusion) == pytest.approx(
        np.average(specificity, weights=support)
    )
    present = labels < 6
    assert metrics.balanced_accuracy(confusion) == pytest.approx(
        sk.balanced_accuracy_score(labels[present], predicted[present], adjusted=False)
    )


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(5).choice(7, size=500, p=[0.13, 0.02, 0.14, 0.25, 0.17, 0.18, 0.11])


def test_scores_are_means_over_seeds_inside_their_intervals(labels: np.ndarray) -> None:
    probabilities = np.stack([guesses(labels, 0.6, 7, seed) for seed in (1, 2, 3)])
    found = score(labels, probabilities, CLASSES, [1, 2, 3], resamples=400)
    each = [sk.accuracy_score(labels, rows.argmax(1)) for rows in probabilities]
    assert found.accuracy.per_seed == pytest.approx(each)
    assert found.accuracy.value == pytest.approx(np.mean(each))
    for row in found.per_class:
        for estimate in (row.precision, row.recall, row.f1, row.specificity, row.auc):
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert [row.support for row in found.per_class] == np.bincount(labels, minlength=7).tolist()
    assert np.sum(found.confusion) == 3 * len(labels)
    assert found.largest_class == pytest.approx(np.bincount(labels).max() / len(labels))


def test_every_metric_has_its_interval_and_its_seeds(labels: np.ndarray) -> None:
    probabilities = np.stack([guesses(labels, 0.6, 7, seed) for seed in (1, 2, 3)])
    found = score(labels, probabilities, CLASSES, [1, 2, 3], resamples=300)
    assert set(found.more) == set(MORE)
    for name, estimate in found.more.items():
        assert estimate.low < estimate.value < estimate.high, name
        assert estimate.low >= 0 or name == "brier_reliability"  # which is told without bias
        assert len(estimate.per_seed) == 3
        if name not in ERRORS:  # which are roots of mean squares
            assert estimate.value == pytest.approx(np.mean(estimate.per_seed)), name
    assert found.more["log_loss"].per_seed == pytest.approx(
        [sk.log_loss(labels, rows, labels=range(7)) for rows in probabilities], rel=1e-4
    )
    assert found.more["weighted_recall"].value == pytest.approx(found.accuracy.value)


def test_groups_are_told_apart(labels: np.ndarray) -> None:
    probabilities = np.eye(7)[np.where(np.arange(500) < 100, (labels + 1) % 7, labels)][None]
    groups = ["hard"] * 100 + ["easy"] * 400
    hard, easy = group_scores(labels, probabilities, groups)
    assert (hard.group, hard.images, hard.accuracy, easy.accuracy) == ("hard", 100, 0, 1)
    assert hard.high < 0.05
    assert group_scores(labels, probabilities, [""] * 500) == []


def test_the_ensemble_averages_probabilities(labels: np.ndarray) -> None:
    probabilities = np.stack([guesses(labels, 0.6, 7, seed) for seed in (1, 2, 3)])
    found = score(labels, probabilities, CLASSES, [1, 2, 3], resamples=50).ensemble
    assert found is not None
    joint = probabilities.mean(0).argmax(1)
    assert found.accuracy.value == pytest.approx(sk.accuracy_score(labels, joint))
    assert found.balanced_accuracy.value == pytest.approx(sk.balanced_accuracy_score(labels, joint))
    assert found.macro_f1.value == pytest.approx(sk.f1_score(labels, joint, average="macro"))
    assert set(found.more) == set(MORE)
    assert found.more["log_loss"] == pytest.approx(
        sk.log_loss(labels, probabilities.mean(0), labels=range(7)), rel=1e-4
    )


def test_the_ensemble_has_the_intervals_of_one_model(labels: np.ndarray) -> None:
    probabilities = np.stack([guesses(labels, 0.6, 7, seed) for seed in (1, 2, 3)])
    found = score(labels, probabilities, CLASSES, [1, 2, 3], resamples=200).ensemble
    alone = score(labels, probabilities.mean(0)[None], CLASSES, [1], resamples=200)
    assert found is not None
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        own: Estimate = getattr(found, name)
        assert own == getattr(alone, name)
        assert own.low < own.value < own.high


def test_one_seed_gets_wilson_and_says_what_it_lacks(labels: np.ndarray) -> None:
    from statsmodels.stats.proportion import proportion_confint

    probabilities = guesses(labels, 0.6, 7, 1)[None]
    found = score(labels, probabilities, CLASSES, [1], resamples=50)
    right = int((probabilities[0].argmax(1) == labels).sum())
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx(
        proportion_confint(right, len(labels), method="wilson")
    )
    assert found.ensemble is None
    assert "one seed tells nothing about how others would do" in found.method


def test_small_classes_have_wider_intervals(labels: np.ndarray) -> None:
    probabilities = np.stack([guesses(labels, 0.6, 7, seed) for seed in (1, 2, 3)])
    rows = {row.name: row for row in score(labels, probabilities, CLASSES, [1, 2, 3]).per_class}
    width = {name: rows[name].recall.high - rows[name].recall.low for name in ("disgust", "happy")}
    assert width["disgust"] > 2 * width["happy"]


def test_a_class_found_always_or_never_still_has_an_interval() -> None:
    labels = np.repeat([0, 1, 2], 10)
    predicted = np.where(labels == 2, 1, labels)  # class 2 is never predicted
    found = score(labels, np.stack([np.eye(3)[predicted]] * 2), ["a", "b", "c"], [1, 2], resamples=200).per_class
    assert found[0].recall.value == 1
    assert found[0].recall.low == pytest.approx(0.7225, abs=1e-3)  # Wilson, 10 of 10
    assert found[2].recall.value == 0
    assert found[2].recall.high == pytest.approx(0.2775, abs=1e-3)
    assert (found[2].precision.low, found[2].precision.high) == (0, 1)  # nothing is known of it
    assert found[0].f1.low < 1
    assert found[2].f1.high > 0
