from __future__ import annotations

from typing import get_args

import optuna
import pytest

from fer_tune.run_folder import Sampler
from fer_tune.search.samplers import make_sampler


def searched(kind: Sampler, seed: int, trials: int = 30) -> list[float]:
    study = optuna.create_study(sampler=make_sampler(kind, seed), direction="maximize")
    study.optimize(lambda trial: -((trial.suggest_float("x", 0, 1) - 0.7) ** 2), n_trials=trials)
    return [trial.params["x"] for trial in study.trials]


@pytest.mark.parametrize("kind", get_args(Sampler))
def test_a_seed_fixes_what_is_drawn(kind):
    assert searched(kind, 1, 10) == searched(kind, 1, 10)
    assert searched(kind, 1, 10) != searched(kind, 2, 10)


@pytest.mark.parametrize(("kind", "learns"), [("tpe", True), ("gp", True), ("random", False)])
def test_those_that_learn_draw_where_the_best_is(kind, learns):
    last = searched(kind, 0)[-15:]
    near = sum(abs(value - 0.7) < 0.1 for value in last)  # 3 of 15 by chance
    assert (near >= 8) is learns
