"""What mattered, by simulation: how often a report names a setting that does nothing, and how often one that does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from simulated_searches import EPOCHS, NOTHING, PACE, TWO, claims, drawn_claims, search

from analysis.statistics.choosing.main_effects import main_effects


def test_a_share_is_that_of_the_regression_on_ranks() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(50)
    outcomes = values + rng.normal(0, 0.3, 50)
    [found] = main_effects(outcomes, [values], [False], permutations=199)
    ranks = stats.rankdata(outcomes)
    rest = ranks - np.polyval(np.polyfit(values, ranks, 2), values)
    explained = 1 - rest.var() / ranks.var()
    assert found.share == pytest.approx(1 - (1 - explained) * 49 / 47)
    assert 0 < found.low < found.share < found.high < 1
    assert found.p == pytest.approx(1 / 200)  # none of the shuffles came near


def test_choices_conditions_and_constants() -> None:
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 3, 60).astype(float)
    outcomes = np.array([0.0, 2.0, 0.5])[kinds.astype(int)] + rng.normal(0, 0.3, 60)
    seldom = np.where(np.arange(60) < 5, rng.random(60), np.nan)
    choice, rare, constant = main_effects(outcomes, [kinds, seldom, np.ones(60)], [True, False, False])
    assert choice.p < 0.01
    assert choice.share > 0.7
    for nothing in (rare, constant):
        assert (nothing.share, nothing.low, nothing.high, nothing.p) == (0, 0, 1, 1)


def test_what_is_found_no_longer_covers_the_others() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 60))
    outcomes = 10 * first + 1.2 * second + rng.normal(0, 0.2, 60)
    found = main_effects(outcomes, [first, second], [False, False])
    assert found[0].p < 0.01
    assert found[1].p < 0.01  # by itself it would drown in the differences that the first makes
    [alone] = main_effects(outcomes, [second], [False])
    assert alone.p > 0.05


def test_idle_settings_are_seldom_named_and_those_that_act_often() -> None:
    wrong, named, held = drawn_claims(TWO, 40, 120)
    assert wrong <= 0.04 + 3 * 0.018  # three standard errors of 120
    assert named[0] > 0.9
    assert held > 0.9


def test_the_made_up_search_is_one() -> None:
    found = search(TWO, 60, 0.5, 0)
    ends = ~np.isnan(found.best[:, EPOCHS - 1])
    assert found.random.sum() == 30
    assert ends[found.random].all()  # never stopped
    assert ends[~found.random].mean() < 0.7  # ASHA at work
    learnt = found.settings[30:][~found.random[30:], 0].mean()
    assert learnt > found.settings[found.random, 0].mean() + 0.1  # TPE at work


@pytest.mark.slow
@pytest.mark.parametrize("truth", [NOTHING, TWO, PACE], ids=["nothing", "two", "pace"])
def test_false_claims_stay_below_one_report_in_twenty(truth) -> None:
    wrong, named, held = drawn_claims(truth, 20, 1500)
    assert wrong <= 0.04 + 3 * 0.0051  # three standard errors of 1,500
    assert held >= 0.95
    if truth is TWO:
        assert named[0] > 0.55
    under_asha, _ = claims(truth, 150, 66, 1 / 3 + 1e-6)
    assert under_asha <= 0.04 + 3 * 0.016  # three standard errors of 150
