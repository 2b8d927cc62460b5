"""Metrics of probabilities against scikit-learn, also for resampled images."""

from __future__ import annotations

import numpy as np
import pytest
from fake_run import guesses
from sklearn import metrics as sk

from analysis.statistics.calibration.probabilistic import BINS, confidence_gaps, probability_metrics
from analysis.statistics.uncertainty.sampling import Images


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.random.default_rng(5).choice(7, size=300, p=[0.13, 0.03, 0.14, 0.25, 0.16, 0.18, 0.11])
    probabilities = np.stack([guesses(labels, 0.6, 7, seed) for seed in (1, 2)])
    [weights] = Images(300, 3).weights()
    return labels, probabilities, np.vstack([np.ones((1, 300), dtype=np.float32), weights])


def test_auc_and_log_loss_equal_scikit_learn_for_each_weighting(data) -> None:
    labels, probabilities, weights = data
    found = probability_metrics(labels, probabilities, weights)
    for row, weight in enumerate(weights):
        for seed, block in enumerate(probabilities):
            each = [sk.roc_auc_score(labels == c, block[:, c], sample_weight=weight) for c in range(7)]
            assert found["auc"][row, seed] == pytest.approx(each, abs=1e-5)
            loss = sk.log_loss(labels, block, sample_weight=weight, labels=range(7))
            assert found["log_loss"][row, seed] == pytest.approx(loss, rel=1e-4)
            brier = sk.brier_score_loss(labels, block, sample_weight=weight, labels=range(7))
            assert found["brier"][row, seed] == pytest.approx(brier, rel=1e-4)
    for average, name in (("macro", "macro_auc"), ("weighted", "weighted_auc")):
        whole = probabilities[0].astype(np.float64)
        whole /= whole.sum(1, keepdims=True)
        expected = sk.roc_auc_score(labels, whole, multi_class="ovr", average=average)
        assert found[name][0, 0] == pytest.approx(expected, abs=1e-5)


def test_ties_count_half() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    scores = np.array([0.2, 0.5, 0.5, 0.5, 0.9], dtype=np.float32)
    probabilities = np.stack([1 - scores, scores], axis=1)[None]
    found = probability_metrics(labels, probabilities, np.ones((1, 5), dtype=np.float32))
    assert found["auc"][0, 0, 1] == pytest.approx(sk.roc_auc_score(labels, scores))
    assert found["auc"][0, 0, 1] == pytest.approx((3 + 1 + 0.5 * 2) / 6)


def test_a_class_without_images_does_not_count() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1]], dtype=np.float32)[
        None
    ]
    found = probability_metrics(labels, probabilities, np.ones((1, 4), dtype=np.float32))
    assert found["macro_auc"][0, 0] == pytest.approx(found["auc"][0, 0, :2].mean())
    assert found["auc"][0, 0, 2] == 0.5


def test_perfect_confidence_has_the_best_of_all_and_bins_reach_one() -> None:
    labels = np.array([0, 1, 2])
    probabilities = np.eye(3, dtype=np.float32)[None]
    found = probability_metrics(labels, probabilities, np.ones((1, 3), dtype=np.float32))
    assert found["brier"][0, 0] == 0
    assert found["log_loss"][0, 0] == pytest.approx(0, abs=1e-6)
    assert found["macro_auc"][0, 0] == 1
    gaps, bins = confidence_gaps(labels, probabilities)
    assert (gaps == 0).all()
    assert (bins == BINS - 1).all()


def test_a_weight_is_the_same_as_a_copy(data) -> None:
    labels, probabilities, weights = data
    row = weights[1]
    copies = np.repeat(np.arange(300), row.astype(int))
    one = probability_metrics(labels, probabilities, row[None])
    other = probability_metrics(labels[copies], probabilities[:, copies], np.ones((1, 300), dtype=np.float32))
    for name in ("log_loss", "brier", "auc"):
        assert one[name] == pytest.approx(other[name], abs=1e-5)
