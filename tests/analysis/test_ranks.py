"""Rank correlations and best against best: by hand, against scipy, and how often their intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from simulated_ranks import KINDS, coverage, coverage_of_regret

from analysis.statistics.choosing.luck import best_against_best
from analysis.statistics.choosing.ranks import FEWEST, rank_correlation


def test_it_is_spearmans() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 8, 30)  # ties
    second = first + rng.normal(0, 2, 30)
    found = rank_correlation(first, second)
    assert found.estimate == pytest.approx(stats.spearmanr(first, second).statistic)
    assert found.low < found.estimate < found.high


def test_few_items_and_equal_ones_tell_nothing() -> None:
    values = np.arange(FEWEST)
    assert rank_correlation(values[1:], values[1:]) is None
    assert rank_correlation(values, np.ones(FEWEST)) is None
    assert rank_correlation(values, values).high <= 1


def test_best_against_best_of_two_is_students_t() -> None:
    first, second = [0.62, 0.64, 0.63], [0.60, 0.61, 0.585]
    found = best_against_best([first], [second])
    expected = stats.ttest_ind(first, second).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.estimate == pytest.approx(np.mean(first) - np.mean(second))
    many = best_against_best([first, [0.1, 0.1, 0.1]], [second, [0.2, 0.2, 0.2]])
    assert many.estimate == pytest.approx(found.estimate)


def test_single_seeds_have_no_interval() -> None:
    assert best_against_best([[0.6]], [[0.5]]) is None
    assert best_against_best([], [[0.5, 0.6]]) is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_intervals_hold_the_truth(kind: str) -> None:
    for agreement in (0.5, 0.9):
        correlation, lost = coverage(kind, agreement, 24, 250, np.random.default_rng(2))
        assert correlation >= 0.91  # 250 experiments: 3 standard errors below 0.95
        assert lost >= 0.91


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [20, 40])
def test_the_intervals_hold_the_truth_closely(kind: str, count: int) -> None:
    for agreement in (0.0, 0.5, 0.8, 0.95):
        correlation, lost = coverage(kind, agreement, count, 1000, np.random.default_rng(count))
        assert 0.93 <= correlation <= 0.985
        assert lost >= 0.94


@pytest.mark.parametrize(("cut", "whole", "seeds", "apart"), [(1, 1, 2, 0.0), (3, 3, 3, 0.005), (5, 8, 3, 0.0)])
def test_the_best_of_the_stopped_is_told_apart_no_more_often_than_said(cut, whole, seeds, apart) -> None:
    assert coverage_of_regret(cut, whole, seeds, apart, 800, np.random.default_rng(3)) >= 0.93
