"""Intervals, against other libraries and by simulation."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from simulated_images import KINDS, TRUTH, coverage, experiments, joint_coverage
from statsmodels.stats.proportion import proportion_confint

from analysis.statistics import metrics
from analysis.statistics.uncertainty.intervals import mean_interval, wilson
from analysis.statistics.uncertainty.sampling import Images, metric_spread, resampled_confusions
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
    found = resampled_confusions(labels, predicted, 3, Images(200, 300))
    assert found.shape == (300, 2, 3, 3)
    assert (found[:, 0] == found[:, 1]).all()
    assert (found.sum((2, 3)) == 200).all()
    assert found[:, 0, 0, 0].std() > 0


@pytest.mark.parametrize(("seeds", "spread"), KINDS)
def test_intervals_cover_the_truth_as_often_as_they_say(seeds: int, spread: float) -> None:
    assert 0.93 <= coverage(seeds, spread, 1200, np.random.default_rng(seeds)) <= 0.97


def test_seeds_that_do_not_differ_cost_no_coverage() -> None:
    held = coverage(3, 0.0, 600, np.random.default_rng(2))
    assert held >= 0.93  # a spread that is none is still estimated, so they may hold more than 97 %


def test_an_interval_for_images_alone_would_not_cover_seeds_that_differ() -> None:
    rng = np.random.default_rng(1)
    held: list[bool] = []
    for [(_, resampled)] in experiments(300, [(5, 0.06)], rng):
        low, high = np.quantile(resampled.mean(1), [0.025, 0.975], axis=0)
        held += list((low <= TRUTH) & (high >= TRUTH))
    assert np.mean(held) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("images", "count", "least"), [(500, 300, 0.87), (3500, 100, 0.89)])
def test_the_intervals_of_an_ensemble_cover_the_truth(images: int, count: int, least: float) -> None:
    """With few images of a class the bootstrap is too narrow for what gives each class the same weight."""
    held = joint_coverage(images, count, np.random.default_rng(1))
    assert held["accuracy"] >= 0.9
    assert min(held.values()) >= least


def test_every_simulation_is_printed_with_the_others() -> None:
    source = (Path(__file__).parent / "simulation.py").read_text()
    kinds = sorted(file.stem for file in Path(__file__).parent.glob("simulated_*.py"))
    assert len(kinds) > 6
    for name in kinds:
        assert f"import {name}\n" in source
        assert re.search(rf"[(, ]{name}[,)]", source)  # in what is printed


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(3)
    labels, predicted = rng.integers(0, 4, 100), rng.integers(0, 4, (3, 100))
    confusions = np.stack([metrics.confusion_matrix(labels, row, 4) for row in predicted])
    drawn = [Images(100, 100, 9) for _ in range(2)]
    counts = [resampled_confusions(labels, predicted, 4, each) for each in drawn]
    first, second = (metric_spread(metrics.macro_f1, confusions, *each) for each in zip(counts, drawn, strict=True))
    assert first.interval() == second.interval()


def test_image_weights_are_the_same_draws_for_the_same_generator_and_sum_to_the_images() -> None:
    first, second = (list(Images(40, 600, 3).weights()) for _ in range(2))
    assert [len(block) for block in first] == [250, 250, 100]
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert all((block.sum(1) == 40).all() for block in first)
