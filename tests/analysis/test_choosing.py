"""The luck that choosing the best of many picks up, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.report.findings import standing
from analysis.report.luck import luck
from analysis.statistics.choosing import luck_of_choosing


@pytest.mark.parametrize(("trials", "top", "seeds", "spread"), [(40, 5, 3, 0.005), (60, 8, 3, 0.003), (20, 3, 5, 0.01)])
def test_the_luck_is_told_without_bias_and_its_interval_holds_it(trials, top, seeds, spread) -> None:
    rng = np.random.default_rng(trials)
    noise = 0.008
    true, told, naive, held = [], [], [], []
    for _ in range(1200):
        skill = 0.6 + rng.normal(0, spread, trials)
        searched = skill + rng.normal(0, noise, trials)
        refitted = np.argsort(-searched)[:top]
        refits = skill[refitted, None] + rng.normal(0, noise, (top, seeds))
        winner = refits.mean(1).argmax()
        true.append(searched[refitted[winner]] - skill[refitted[winner]])
        naive.append(searched[refitted[winner]] - refits[winner].mean())
        found = luck_of_choosing(searched[refitted], refits)
        told.append(found.estimate)
        held.append(found.low <= true[-1] <= found.high)
    assert np.mean(told) == pytest.approx(np.mean(true), abs=0.0006)
    assert np.mean(naive) < 0.75 * np.mean(true)  # the winner's own mean is lucky again
    assert np.mean(held) >= 0.94


def test_a_single_seed_tells_nothing_of_luck() -> None:
    assert luck_of_choosing(np.array([0.6, 0.5]), np.array([[0.55], [0.5]])) is None


def test_the_report_tells_it_with_its_interval(made) -> None:
    made.refit([[0.40, 0.41, 0.40], [0.20, 0.21, 0.2]])
    told = luck(made.run, standing(made.run))
    assert "Choosing the best of many had promised" in told
    assert "points too much (95 % interval" in told


def test_what_may_be_no_luck_is_not_said_to_be(made) -> None:
    made.refit([[0.9, 0.3, 0.6], [0.2, 0.2, 0.2]])
    told = luck(made.run, standing(made.run))
    assert "too much is not shown (95 % interval −" in told


def test_with_one_seed_no_luck_is_told(made) -> None:
    made.refit([[0.40], [0.20]])
    assert "luck" not in luck(made.run, standing(made.run))
    assert "interval" not in luck(made.run, standing(made.run))
