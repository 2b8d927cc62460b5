"""Calibration: its errors and Brier's parts by hand and by simulation, temperature scaling, what is told of them."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_calibration import GRID, NAMES, Kind, bins_held, draw, gain_held, told

from analysis.heldout.scaling import scaling
from analysis.report.telling.calibration import scaled_words
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.results import Estimate
from analysis.statistics.calibration.errors import BINS, calibration, calibration_errors
from analysis.statistics.calibration.probabilistic import losses, squares
from analysis.statistics.calibration.temperature import fit_temperature, scaled_seeds, with_temperature
from analysis.statistics.uncertainty.sampling import Images, sampling_of


@pytest.fixture(scope="module")
def sure() -> tuple[np.ndarray, np.ndarray]:
    """Return labels of 600 images, and probabilities of three seeds that are half as sure again as they should be."""
    labels, probabilities, _ = draw(Kind(600, 3, 1.5), np.random.default_rng(3))
    return labels, probabilities


def test_the_bias_is_taken_out_as_kumar_does_by_a_formula() -> None:
    labels, probabilities, _ = draw(Kind(3000, 1, 1.3), np.random.default_rng(4))
    [scores] = probabilities.max(-1)
    right = probabilities[0].argmax(-1) == labels
    edges = np.quantile(scores, np.arange(1, BINS) / BINS)
    bins = np.searchsorted(edges, scores)
    by_hand = 0.0
    for number in range(BINS):
        own = bins == number
        gaps = scores[own] - right[own]
        by_hand += own.mean() * (gaps.mean() ** 2 - gaps.var(ddof=1) / own.sum())
    found = calibration(labels, probabilities, Images(3000))["calibration_error"]
    assert found.value == pytest.approx(np.sqrt(by_hand), rel=0.02)
    assert found.low < found.value < found.high


def test_the_brier_score_is_the_sum_of_its_parts(sure) -> None:
    labels, probabilities = sure
    for groups in (None, [f"g{n % 25}" for n in range(len(labels))]):
        found = calibration(labels, probabilities, sampling_of(groups, len(labels)))
        reliability, resolution, uncertainty = (
            found[f"brier_{name}"].value for name in ("reliability", "resolution", "uncertainty")
        )
        assert reliability - resolution + uncertainty == pytest.approx(squares(labels, probabilities).mean(), abs=1e-6)
    shares = np.bincount(labels) / len(labels)
    assert uncertainty == pytest.approx((shares * (1 - shares)).sum(), abs=0.01)


def test_each_class_has_an_error_and_their_squares_average_to_that_of_all(sure) -> None:
    labels, probabilities = sure
    sampling = Images(len(labels))
    each = calibration_errors(labels, probabilities, sampling)
    squares_of = np.array([np.square(one.per_seed) for one in each])
    whole = calibration(labels, probabilities, sampling)["classwise_calibration_error"]
    assert squares_of.mean() == pytest.approx(whole.value**2, rel=0.02)


def test_perfect_certainty_has_no_error_and_no_interval_beyond_it() -> None:
    labels = np.arange(60) % 3
    found = calibration(labels, np.eye(3)[labels][None], Images(60))
    assert found["calibration_error"].value == found["calibration_error"].high == 0
    assert found["brier_resolution"].value == pytest.approx(found["brier_uncertainty"].value)


@pytest.mark.parametrize("kind", [Kind(400, 3, 1.0), Kind(400, 1, 1.5), Kind(600, 1, 1.5, 30)], ids=str)
def test_the_truth_is_told_without_bias_and_held(kind: Kind) -> None:
    held, bias, plain = told(kind, 60, np.random.default_rng(5))
    assert min(held.values()) >= 0.85  # 60 experiments: 3 standard errors below 0.95 and a little
    assert abs(bias["brier_reliability"]) < 0.003
    assert plain > 0.04  # perfect or not: the plain error never comes near zero


@pytest.mark.slow
@pytest.mark.parametrize("kind", GRID, ids=str)
def test_the_truth_is_told_without_bias_and_held_closely(kind: Kind) -> None:
    held, bias, _ = told(kind, 400, np.random.default_rng(6))
    assert min(held[name] for name in NAMES) >= 0.90
    assert abs(bias["brier_reliability"]) < 0.0015
    assert abs(bias["brier_resolution"]) < 0.006


@pytest.mark.parametrize("seeds", [1, 3])
def test_bins_of_the_reliability_diagram_are_held(seeds: int) -> None:
    assert bins_held(Kind(400, seeds), 40, np.random.default_rng(8)) >= 0.90  # some 400 bins: 4 standard errors


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in GRID if not kind.groups], ids=str)
def test_bins_of_the_reliability_diagram_are_held_closely(kind: Kind) -> None:
    assert bins_held(kind, 150, np.random.default_rng(9)) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("sure", [1.0, 1.5])
def test_what_a_temperature_gains_is_held(sure: float) -> None:
    held, false = gain_held(Kind(400, 3, sure), 300, np.random.default_rng(7))
    assert held >= 0.92
    assert false <= 0.05


def test_a_temperature_is_found_again_and_changes_no_answer(sure) -> None:
    labels, probabilities = sure
    [first, *_] = probabilities
    fitted = fit_temperature(labels, first)
    assert 1.2 < fitted < 1.9
    assert fit_temperature(labels, with_temperature(first, 2.0)) == pytest.approx(fitted / 2, rel=0.01)
    scaled = with_temperature(first, fitted)
    assert (scaled.argmax(-1) == first.argmax(-1)).all()
    assert scaled.sum(-1) == pytest.approx(np.ones(len(labels)), abs=1e-5)
    assert losses(labels, scaled[None]).mean() < losses(labels, first[None]).mean()
    assert with_temperature(np.array([[1.0, 0.0]]), 3.0)[0, 1] > 0  # rounded to zero, not known to be


def test_scaling_is_told_before_and_after_and_not_fitted_on_what_judges(sure) -> None:
    labels, probabilities = sure
    found = scaling(labels, probabilities, [1.5, 1.4, 1.6], 100, resamples=200)
    scaled = scaled_seeds(probabilities, [1.5, 1.4, 1.6])
    assert found.temperatures == [1.5, 1.4, 1.6]
    assert found.after["log_loss"].value == pytest.approx(losses(labels, scaled).mean())
    assert found.after["brier"].value == pytest.approx(squares(labels, scaled).mean())
    gain = losses(labels, probabilities).mean() - losses(labels, scaled).mean()
    assert found.gain.value == pytest.approx(gain)
    assert found.gain.low < gain < found.gain.high
    before = calibration(labels, probabilities, Images(len(labels)))
    assert found.after["calibration_error"].value < before["calibration_error"].value


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0002, 0.02, "falls by 0.010 nats (95 % interval +0.0002 to +0.020)"),
        (-0.03, -0.01, "rises by 0.010 nats (95 % interval +0.010 to +0.030)"),
        (-0.01, 0.02, "is not shown to fall (95 % interval −0.010 to +0.020 nats)"),
    ],
)
def test_no_sentence_contradicts_its_interval(tested, low: float, high: float, words: str) -> None:
    test = tested[1]
    value = -0.01 if high < 0 else 0.01
    gain = Estimate(value=value, low=low, high=high, per_seed=[value])
    changed = test.model_copy(update={"scaling": test.scaling.model_copy(update={"gain": gain})})
    assert words in scaled_words(changed)


def test_the_report_tells_it_and_a_model_trained_on_validation_has_none(tested) -> None:
    made, test = tested
    run = made.run
    facts = gather(run, standing(run), [])
    assert facts.calibration[0]["name"].startswith("log loss")
    assert all(row["after"] != "–" for row in facts.calibration)
    assert f"fitted on the {test.scaling.images} validation images" in facts.scaled
    alone = test.model_copy(update={"scaling": None, "trained_on": "train+val"})
    assert "no images are left" in scaled_words(alone)
