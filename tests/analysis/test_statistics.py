"""Intervals, against other libraries and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from analysis import metrics
from analysis.statistics import mean_interval, metric_interval, resampled_confusions, wilson
from fer_tune.errors import UserError


@pytest.mark.parametrize(("successes", "images"), [(0, 10), (10, 10), (2630, 3589), (1, 3), (50, 100)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_equals_statsmodels(successes: int, images: int, level: float) -> None:
    found = wilson(successes, images, level)
    assert (found.low, found.high) == pytest.approx(
        proportion_confint(successes, images, alpha=1 - level, method="wilson"), abs=1e-12
    )


def test_wilson_of_a_published_figure() -> None:
    found = wilson(round(0.733 * 3589), 3589)
    assert (round(100 * found.low, 1), round(100 * found.high, 1)) == (71.8, 74.7)


@pytest.mark.parametrize(("successes", "images"), [(1, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_impossible_counts(successes: int, images: int) -> None:
    with pytest.raises(UserError, match="0 <= successes <= images"):
        wilson(successes, images)


def test_mean_interval_equals_scipy() -> None:
    values = [0.61, 0.64, 0.62, 0.66]
    found = mean_interval(values)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = mean_interval([0.6])
    assert found.estimate == 0.6
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_every_seed_sees_the_same_resampled_images() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    predicted = np.tile(rng.integers(0, 3, 200), (2, 1))
    found = resampled_confusions(labels, predicted, 3, 300, rng)
    assert found.shape == (300, 2, 3, 3)
    assert (found[:, 0] == found[:, 1]).all()
    assert (found.sum((2, 3)) == 200).all()
    assert found[:, 0, 0, 0].std() > 0


def simulate(seeds: int, seed_spread: float, rng: np.random.Generator, images: int = 300) -> tuple[bool, bool, float]:
    """Draw images and seeds, and say whether the interval, and the one for images only, hold the true accuracy."""
    truth, item_spread = 0.6, 0.3
    skill = truth + rng.normal(0, seed_spread, (seeds, 1))
    ease = rng.uniform(-item_spread, item_spread, (1, images))
    right = rng.random((seeds, images)) < np.clip(skill + ease, 0, 1)
    labels = np.zeros(images, dtype=int)
    predicted = (~right).astype(int)
    confusions = np.stack([metrics.confusion_matrix(labels, row, 2) for row in predicted])
    resampled = resampled_confusions(labels, predicted, 2, 250, rng)
    _, low, high = metric_interval(metrics.accuracy, confusions, resampled, seed=int(rng.integers(1 << 30)))
    images_only = np.quantile(metrics.accuracy(resampled).mean(1), [0.025, 0.975])
    return bool(low <= truth <= high), bool(images_only[0] <= truth <= images_only[1]), float(high - low)


@pytest.mark.parametrize(("seeds", "spread"), [(3, 0.0), (3, 0.02), (5, 0.02), (5, 0.06)])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(seeds: int, spread: float) -> None:
    rng = np.random.default_rng(seeds)
    held = [simulate(seeds, spread, rng)[0] for _ in range(250)]
    assert 0.905 <= np.mean(held) <= 0.99  # 95 % within 3 standard errors of 250 draws


def test_an_interval_for_images_alone_would_not_cover_seeds_that_differ() -> None:
    rng = np.random.default_rng(1)
    held = np.array([simulate(5, 0.06, rng)[:2] for _ in range(150)]).mean(0)
    assert held[1] < 0.8 < held[0]


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(3)
    labels, predicted = rng.integers(0, 4, 100), rng.integers(0, 4, (3, 100))
    confusions = np.stack([metrics.confusion_matrix(labels, row, 4) for row in predicted])
    draws = [resampled_confusions(labels, predicted, 4, 100, np.random.default_rng(9)) for _ in range(2)]
    first, second = (metric_interval(metrics.macro_f1, confusions, draw, seed=2) for draw in draws)
    assert first == second
