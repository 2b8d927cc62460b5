"""The luck that choosing the best of many picks up, where the truth is known."""

from __future__ import annotations

import re

import numpy as np
import pytest
from simulated_choices import KINDS, told_luck

from analysis.report.telling.findings import standing
from analysis.report.telling.luck import luck
from analysis.statistics.choosing.luck import luck_of_choosing


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_luck_is_told_without_bias_and_its_interval_holds_it(kind: tuple[int, int, int, float]) -> None:
    true, told, own, held = told_luck(*kind, 1200, np.random.default_rng(kind[0]))
    assert told == pytest.approx(true, abs=0.0006)
    assert own < 0.75 * true  # the winner's own mean is lucky again
    assert held >= 0.94


def test_a_single_seed_tells_nothing_of_luck() -> None:
    assert luck_of_choosing(np.array([0.6, 0.5]), np.array([[0.55], [0.5]])) is None


def test_the_report_tells_it_with_its_interval(made) -> None:
    made.refit([[0.40, 0.41, 0.40], [0.20, 0.21, 0.2]])
    told = luck(made.run, standing(made.run))
    assert "Choosing the best of many had promised" in told
    assert re.search(r"points too much \(95 % interval \+.* to \+.* points; each seed", told)


def test_what_may_be_no_luck_is_not_said_to_be(made) -> None:
    made.refit([[0.9, 0.3, 0.6], [0.2, 0.2, 0.2]])
    told = luck(made.run, standing(made.run))
    assert "too much is not shown (95 % interval −" in told


def test_with_one_seed_no_luck_is_told(made) -> None:
    made.refit([[0.40], [0.20]])
    assert "luck" not in luck(made.run, standing(made.run))
    assert "interval" not in luck(made.run, standing(made.run))
