"""What does not go together is refused before anything is spent, with a cure."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import fer_tune.search.stopping_early.schedulers as schedulers
from fer_tune.errors import UserError
from fer_tune.objectives import OBJECTIVES
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning.plan import chosen_spaces
from fer_tune.search.proposing.objectives import check_objectives, check_target, told
from fer_tune.search.proposing.samplers import check_sampler
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.search.stopping_early.schedulers import check_scheduler, most_brackets


def options(**given) -> SearchOptions:
    return SearchOptions(**{"data": Path("d"), "backbones": ["cnn_simpler"], "epochs": 12, **given})


def space(**search) -> dict[str, SearchSpace]:
    return {"cnn_simpler": from_resolved({"backbone": "cnn_simpler", "search": search})}


RATE = {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}
SIZES = {"image_size": {"choice": [24, 48]}}
CHOICES = {
    "optimizer": {"choice": ["adamw", "sgd"]},
    "momentum": {"uniform": [0.5, 0.9], "when": {"optimizer": "sgd"}},
}


def test_the_examples_of_the_documentation_run():
    assert doctest.testmod(schedulers) == (0, 1)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"brackets": 3},
        {"grace_period": 12},
        {"scheduler": "median", "grace_period": 4},
        {"scheduler": "none"},
    ],
)
def test_what_goes_together(given):
    check_scheduler(options(**given))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scheduler": "none", "grace_period": 3}, "--grace-period 3: --scheduler none does not read it"),
        ({"scheduler": "none", "reduction_factor": 2}, "--reduction-factor 2: --scheduler none"),
        ({"scheduler": "median", "reduction_factor": 2}, "--reduction-factor 2: --scheduler median"),
        ({"scheduler": "median", "brackets": 2}, "--brackets 2: --scheduler median does not read it; leave it out"),
        ({"brackets": 4}, "--brackets 4: with --epochs 12, --grace-period 2 and --reduction-factor 3 there are at m"),
        ({"grace_period": 12, "brackets": 2}, "at most 1"),
    ],
)
def test_settings_without_effect_are_refused(given, told):
    with pytest.raises(UserError, match=told):
        check_scheduler(options(**given))


@pytest.mark.parametrize(("epochs", "grace", "factor"), [(12, 2, 3), (9, 1, 3), (16, 1, 2), (5, 8, 3), (40, 2, 3)])
def test_each_bracket_but_the_last_stops_somewhere_new(epochs, grace, factor):
    brackets = most_brackets(epochs, grace, factor)
    made = BackboneASHA(["a"], epochs, grace, factor, brackets)._brackets_of["a"]
    firsts = [min((epoch for epoch, _ in each.rungs if epoch < epochs), default=epochs) for each in made]
    assert len(set(firsts)) == brackets
    assert firsts[-1] == epochs


def test_a_grid_far_larger_than_the_search_is_refused_with_its_size():
    wide = {name: {"uniform": [0.0, 0.5]} for name in ("drop_rate", "label_smoothing", "augmentation")}
    check_sampler(options(sampler="grid", trials=26), space(**RATE, **wide))  # 256 points
    with pytest.raises(UserError, match=r"256 points \(.*drop_rate 4.*--trials 20 would see.*at least --trials 26;"):
        check_sampler(options(sampler="grid", trials=20), space(**RATE, **wide))


def test_cmaes_needs_a_range_that_always_applies():
    check_sampler(options(sampler="cmaes"), space(**RATE, **CHOICES))
    check_sampler(options(sampler="random", random_share=0.5), space(**RATE))
    for given, why in ((("grid", "asha"), "tries every combination"), (("random", "none"), "every trial is drawn at")):
        asked = options(sampler=given[0], scheduler=given[1], random_share=0.5)
        with pytest.raises(UserError, match=f"--random-share 0.5: .*{why}"):
            check_sampler(asked, space(**RATE))
    with pytest.raises(UserError, match="the space of cnn_simpler has no range that every trial draws from"):
        check_sampler(options(sampler="cmaes"), space(**CHOICES))


def test_a_study_is_told_of_what_its_settings_change():
    (narrow,), (sizes,) = space(**RATE).values(), space(**RATE, **SIZES).values()
    assert told(None, sizes) is None
    assert told("seconds", narrow) == "seconds"
    assert told("latency", narrow) is None
    assert told("latency", sizes) == "latency"
    assert told("parameters", sizes) is None


@pytest.mark.parametrize(
    ("objectives", "sampler", "spaces", "refused"),
    [
        (("latency",), "tpe", space(**SIZES), "what trials are judged by comes first, one of val_accuracy"),
        (("val_accuracy", "val_accuracy"), "tpe", space(**SIZES), "trials are judged by one of val_accuracy"),
        (("val_macro_f1", "val_accuracy"), "tpe", space(**SIZES), "trials are judged by one of"),
        (("val_accuracy", "latency", "seconds"), "tpe", space(**SIZES), "one other beside val_accuracy at most"),
        (("val_accuracy", "latency"), "tpe", space(**RATE), "no setting .* changes it; search image_size too, or give"),
        (("val_accuracy", "parameters"), "tpe", space(**RATE), "no setting .* changes it; give two --backbone"),
        (("val_accuracy", "seconds"), "cmaes", space(**RATE), "--sampler cmaes can follow one objective only"),
    ],
)
def test_objectives_that_cannot_be_searched_for(objectives, sampler, spaces, refused):
    with pytest.raises(UserError, match=refused):
        check_objectives(objectives, sampler, spaces)


def test_objectives_that_can():
    check_objectives(("val_accuracy",), "cmaes", space(**RATE))
    check_objectives(("val_accuracy", "latency"), "tpe", space(**SIZES))
    both = {**space(**RATE), "cnn_baseline": next(iter(space(**RATE).values()))}
    check_objectives(("val_accuracy", "parameters"), "cmaes", both)  # compared between backbones, told to neither


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"sampler": "grid"}, "--sampler grid: the grid over the space of cnn_simpler has"),
        ({"scheduler": "none", "brackets": 2}, "--brackets 2"),
        ({"objectives": ("val_accuracy", "parameters")}, "--objective parameters"),
    ],
)
def test_a_search_and_its_estimate_ask_all_of_these(given, refused):
    with pytest.raises(UserError, match=refused):
        chosen_spaces(options(**given))


def test_a_target_in_per_cent_is_refused_where_shares_are_meant():
    check_target(65, OBJECTIVES["val_loss"])
    check_target(0.65, OBJECTIVES["val_macro_f1"])
    with pytest.raises(UserError, match=r"--target 65: validation macro F1 is at most 1; 65 % is --target 0\.65"):
        check_target(65, OBJECTIVES["val_macro_f1"])
