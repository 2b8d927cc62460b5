"""Samplers: a seed repeats them, those that learn do, also where settings apply under conditions."""

from __future__ import annotations

from typing import get_args

import optuna
import pytest
from optuna.trial import TrialState

from fer_tune.kinds import Sampler
from fer_tune.run_folder import Candidate
from fer_tune.search.proposing.samplers import lasting_ranges, make_sampler
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.search.spaces.space import SearchSpace

SMALL = from_resolved({"backbone": "cnn_simpler", "search": {"drop_rate": {"uniform": [0.0, 0.99]}}})
WHOLE = from_resolved(
    {
        "backbone": "cnn_simpler",
        "search": {
            "optimizer": {"choice": ["adamw", "sgd"]},
            "drop_rate": {"uniform": [0.0, 0.99]},
            "learning_rate": {"log_uniform": [1e-4, 1e-1]},
            "momentum": {"uniform": [0.0, 0.9], "when": {"optimizer": "sgd"}},
        },
    }
)
OUTSIDE = Candidate(name="paper/outside", config={"learning_rate": 1.0, "drop_rate": 0.5})


def quality(settings) -> float:
    return -((settings["drop_rate"] - 0.7) ** 2)


def searched(kind: Sampler, seed: int, trials: int = 30, space: SearchSpace = SMALL, first=(), stop=False):
    """Return the drop rates of a search; with ``stop`` all but each third trial are pruned."""
    study = optuna.create_study(sampler=make_sampler(kind, seed, space, 1), direction="maximize")
    for entry in first:
        space.enqueue(study, entry)
    found = []
    for index in range(trials):
        trial = study.ask()
        settings = space.suggest(trial)
        found.append(settings["drop_rate"])
        trial.report(quality(settings), 1)
        if stop and index % 3:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, quality(settings))
    return found


def near(rates) -> int:
    return sum(abs(rate - 0.7) < 0.1 for rate in rates)  # 3 of 15 by chance


@pytest.mark.parametrize("kind", get_args(Sampler))
def test_a_seed_fixes_what_is_drawn(kind):
    count = 4 if kind == "grid" else 10  # of a grid of 4
    assert searched(kind, 1, count) == searched(kind, 1, count)
    assert searched(kind, 1, count) != searched(kind, 5, count)


@pytest.mark.parametrize(
    ("kind", "trials", "learns"), [("tpe", 45, True), ("gp", 23, True), ("cmaes", 45, True), ("random", 30, False)]
)
def test_those_that_learn_draw_where_the_best_is(kind, trials, learns):
    assert (near(searched(kind, 0, trials)[-15:]) >= 8) is learns


@pytest.mark.parametrize(("kind", "trials"), [("gp", 25), ("cmaes", 60)])
def test_one_published_configuration_outside_the_space_does_not_keep_them_from_learning(kind, trials):
    """Stock, such a trial leaves nothing that all trials have drawn, and all later ones are drawn at random."""
    assert near(searched(kind, 0, trials, WHOLE, [OUTSIDE])[-15:]) >= 8


def test_cmaes_learns_from_trials_that_asha_stopped():
    """With two in three stopped, 60 trials are some ten generations of 6; a third of them would be three."""
    assert near(searched("cmaes", 0, 60, WHOLE, stop=True)[-15:]) >= 8


def test_cmaes_does_not_count_trials_that_the_median_rule_stopped():
    assert make_sampler("cmaes", 0, WHOLE, 1, "asha")._consider_pruned_trials
    assert not make_sampler("cmaes", 0, WHOLE, 1, "median")._consider_pruned_trials


def test_cmaes_adapts_the_ranges_that_every_trial_has_and_draws_the_rest_at_random():
    assert list(lasting_ranges(WHOLE)) == ["drop_rate", "learning_rate"]
    study = optuna.create_study(sampler=make_sampler("cmaes", 0, WHOLE, 1), direction="maximize")
    for _ in range(40):
        trial = study.ask()
        study.tell(trial, quality(WHOLE.suggest(trial)))
    adapted = study.trials[-1]
    assert {trial.params["optimizer"] for trial in study.trials[-15:]} == {"adamw", "sgd"}
    assert "cma:generation" in adapted.system_attrs
    assert set(adapted.params) >= {"drop_rate", "learning_rate", "optimizer"}


def test_tpe_draws_each_setting_by_itself():
    """Optuna 5 looks at all settings together unless it is told not to; see tests/benchmarks/efficiency.py."""
    study = optuna.create_study(sampler=make_sampler("tpe", 0, WHOLE, 1), direction="maximize")
    for _ in range(12):  # more than are drawn at random
        trial = study.ask()
        study.tell(trial, quality(WHOLE.suggest(trial)))
    trial = study.ask()
    assert study.sampler.infer_relative_search_space(study, study.trials[-1]) == {}
    assert optuna.samplers.TPESampler().infer_relative_search_space(study, study.trials[-1]) != {}
    assert trial.number == 12


def test_tpe_counts_what_the_space_could_have_drawn():
    """Nine published configurations outside the space do not end the random start, and the best of them hides none."""
    outside = [
        Candidate(name=f"paper/{index}", config={"drop_rate": 0.5, "learning_rate": 1.0, "mixup": index / 10})
        for index in range(9)
    ]
    random = searched("random", 3, 17, WHOLE, outside)
    tpe = searched("tpe", 3, 17, WHOLE, outside)
    assert tpe[9:] == random[9:]  # eight drawn at random after the nine
    inside = [Candidate(name=f"inside/{index}", config={"drop_rate": index / 10}) for index in range(8)]
    assert searched("tpe", 3, 9, SMALL, inside)[8] != searched("random", 3, 9, SMALL, inside)[8]  # eight are known
