"""What pauses and goes on in a replayed search (`tests/benchmarks/replaying.py`)."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import numpy as np
import pytest
from benchmarks.replaying import Halving, Promotion, drive

BETTER = [1, 4, 2, 3, 8, 5, 7, 6]  # of the first trials; those after are worse


class Listed:
    """Suggests what is listed, and counts the epochs of each trial."""

    def __init__(self) -> None:
        self.numbers, self.epochs = count(), Counter[str]()

    def suggest(self, trial_id: str) -> dict[str, Any]:
        number = next(self.numbers)
        return {"value": BETTER[number] if number < len(BETTER) else 0}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.epochs[trial_id] += 1

    def on_trial_complete(self, trial_id: str, result: dict[str, Any]) -> None:
        assert result["finished"]
        self.epochs[trial_id] += 1


def curve(settings: dict[str, Any]) -> np.ndarray:
    return np.arange(1, 4) * settings["value"] / 100


@pytest.mark.parametrize(
    ("scheduler", "further"),
    [
        (Halving([(4, 1), (1, 3)]), {1, 4}),  # the best of each four
        (Halving([(4, 1), (2, 2), (1, 3)]), {1, 4}),
        (Promotion(1, 4, 3), {1, 4, 6}),  # by then one in four of those seen: the best, and the best of the rest
    ],
)
def test_the_best_go_on_to_their_end_and_the_others_no_further_than_their_rung(scheduler, further):
    searcher = Listed()
    best = drive(searcher, scheduler, curve, 0, 40)
    ended = {int(name) for name, epochs in searcher.epochs.items() if epochs == 3}
    assert ended >= further
    assert 0 not in ended  # the worst of the first four
    assert searcher.epochs["00000000"] <= 2
    assert best[3] == pytest.approx(0.04)  # after an epoch of each of four
    assert best[-1] == pytest.approx(0.24)
    assert len(best) == 40


def test_a_search_ends_at_its_target_or_at_its_limit_and_noise_does_not_count_as_reached():
    def reached(**how: Any) -> np.ndarray:
        return drive(Listed(), Halving([(4, 1), (1, 3)]), curve, 0, 1, **how)

    found = reached(target=0.12, limit=100)
    assert found[-1] >= 0.12 > found[-2]
    assert len(reached(target=0.9, limit=50)) == 50
    assert len(reached(target=0.9, limit=50, noise=lambda curve, rng: curve + 1.0)) == 50
