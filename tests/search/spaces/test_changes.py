"""Settings given beside a space: read from text or Python, checked as a file is, and resolved."""

from __future__ import annotations

import doctest
from typing import Any

import optuna
import pytest

from fer_tune.errors import UserError
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning.plan import chosen_spaces
from fer_tune.search.spaces import given
from fer_tune.search.spaces.changes import with_changes
from fer_tune.search.spaces.given import read_changes
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.search.spaces.space import SearchSpace

PAPER = {"learning_rate": 1e-3, "batch_size": 64, "freeze_depth": 0, "optimizer": "sgd", "momentum": 0.9}
SPACE: dict[str, Any] = {
    "backbone": "resnet18",
    "search": {
        "learning_rate": {"log_uniform": [1e-4, 1e-2]},
        "batch_size": {"choice": [32, 64]},
        "freeze_depth": {"integer": [0, 5]},
        "optimizer": {"choice": ["adamw", "adam", "sgd"]},
        "momentum": {"uniform": [0.8, 0.98], "when": {"optimizer": "sgd"}},
    },
    "fixed": {"schedule": "cosine", "image_size": 48},
    "published": [{"name": "paper/net", "source": "a paper", "dataset": "fer2013", "config": PAPER}],
    "known_good": [{"name": "good", "config": {**PAPER, "batch_size": 32, "momentum": 0.85}}],
}


def changed(space: dict[str, Any] = SPACE, **given: Any) -> tuple[SearchSpace, list[str]]:
    spaces, told = with_changes({"resnet18": from_resolved(space)}, read_changes(**given))
    return spaces["resnet18"], told


def drawn(space: SearchSpace, count: int = 40) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


def test_the_examples_of_the_documentation_run() -> None:
    assert doctest.testmod(given) == (0, 1)


def test_a_number_with_a_zero_before_it_is_itself() -> None:
    assert changed(fix="batch_size=010")[0].fixed["batch_size"] == 10  # eight in YAML 1.1


@pytest.mark.parametrize(
    ("as_text", "as_python"),
    [
        ({"fix": ["optimizer=adamw"]}, {"fix": {"optimizer": "adamw"}}),
        ({"fix": "image_size=none"}, {"fix": {"image_size": None}}),
        ({"fix": "weight_decay=1e-4"}, {"fix": {"weight_decay": 1e-4}}),
        ({"fix": "weights=none"}, {"fix": {"weights": None}}),
        ({"choice": "weights=none,w.pt"}, {"choice": {"weights": [None, "w.pt"]}}),
        ({"fix": "class_weighting=none"}, {"fix": {"class_weighting": "none"}}),
        ({"fix": "nesterov=false"}, {"fix": {"nesterov": False}}),
        ({"range": ["learning_rate=1e-4:1e-2"]}, {"range": {"learning_rate": (1e-4, 1e-2)}}),
        ({"range": ["learning_rate=1e-4:1e-2:linear"]}, {"range": {"learning_rate": (1e-4, 1e-2, "linear")}}),
        ({"choice": ["batch_size=128,256"]}, {"choice": {"batch_size": [128, 256]}}),
    ],
)
def test_text_and_python_say_the_same(as_text: dict[str, Any], as_python: dict[str, Any]) -> None:
    (text,), (python,) = read_changes(**as_text), read_changes(**as_python)
    assert (text.how, text.field, text.value) == (python.how, python.field, python.value)


def test_a_fixed_setting_is_that_of_every_drawn_trial_and_not_of_the_published_one() -> None:
    space, _ = changed(fix="label_smoothing=0.1")
    assert {trial["label_smoothing"] for trial in drawn(space)} == {0.1}
    assert space.settings(space.published[0].config)["label_smoothing"] == 0.0
    assert from_resolved(space.resolved()).fixed["label_smoothing"] == 0.1  # as search.yaml keeps it


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("learning_rate=1e-4:1e-2", "log_uniform"),
        ("weight_decay=1e-4:1e-2", "log_uniform"),  # not searched before
        ("learning_rate=1e-4:1e-2:linear", "uniform"),
        ("weight_decay=0:0.1:linear", "uniform"),
        ("mixup=0.1:0.4", "uniform"),
        ("mixup=0.1:0.4:log", "log_uniform"),
        ("freeze_depth=1:2", "integer"),
    ],
)
def test_a_range_is_drawn_as_its_setting_asks_for(text: str, kind: str) -> None:
    space, _ = changed(range=text)
    parameter = space.parameters[text.partition("=")[0]]
    low, high = (float(value) for value in text.partition("=")[2].split(":")[:2])
    assert (parameter.kind, parameter.values) == (kind, (low, high))
    assert all(low <= trial[parameter.name] <= high for trial in drawn(space))


def test_a_choice_takes_the_place_of_the_space_s() -> None:
    space, told = changed(choice={"batch_size": [128, 256]})
    assert {trial["batch_size"] for trial in drawn(space)} == {128, 256}
    assert told == ["resnet18: not tried first, since it lies outside now: good"]
    assert space.published[0].config["batch_size"] == 64  # as published


def test_what_is_searched_anew_keeps_what_was_known() -> None:
    space, told = changed(range="mixup=0:0.4")
    assert not told
    assert space.published[0].config["mixup"] == 0.0
    assert [entry.config["mixup"] for entry in space.fitting()] == [0.0]


def test_a_condition_that_always_holds_goes() -> None:
    space, told = changed(fix="optimizer=sgd")
    assert space.parameters["momentum"].when == {}
    assert all("momentum" in trial for trial in drawn(space))
    assert not told


@pytest.mark.parametrize("given", [{"fix": "optimizer=adamw"}, {"choice": "optimizer=adamw,adam"}])
def test_what_can_never_apply_is_not_searched_and_told(given: dict[str, Any]) -> None:
    space, told = changed(**given)
    assert "momentum" not in space.parameters
    assert any("momentum is not searched: it is drawn only where optimizer is sgd (--" in line for line in told)
    assert not any("momentum" in trial for trial in drawn(space))


def test_a_chain_of_conditions_falls_together() -> None:
    searched = {**SPACE["search"], "momentum": {"choice": [0.8, 0.9], "when": {"optimizer": "sgd"}}}
    searched["nesterov"] = {"choice": [True, False], "when": {"momentum": 0.9}}
    space, told = changed({**SPACE, "search": searched, "published": [], "known_good": []}, fix="optimizer=adam")
    assert not {"momentum", "nesterov"} & space.parameters.keys()
    assert len(told) == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"fix": "optimzer=adamw"}, "--fix optimzer=adamw: no such setting; did you mean 'optimizer'?"),
        ({"fix": "lr=1e-3"}, "--fix lr=1e-3: no such setting; did you mean 'learning_rate'?"),
        ({"fix": "optimizer=adamm"}, "--fix optimizer=adamm: .*did you mean 'adam'"),
        ({"fix": "epochs=3"}, "--fix epochs=3: the search sets it; give it to the search, as --epochs"),
        ({"fix": {"optimizer": 3}}, "--fix optimizer=3: should be"),
        ({"range": "learning_rate=1e-4:100"}, "--range learning_rate=1e-4:100: should be less than or equal to 10"),
        ({"range": "learning_rate=1e-2:1e-4"}, r"--range .*: low 0\.01 is not below high 0\.0001; .*or use --fix"),
        ({"range": "weight_decay=0:1"}, "low 0 has no logarithm: it must be above 0; or add :linear"),
        ({"range": "optimizer=1:2"}, "optimizer is not a number; use --choice"),
        ({"range": "image_size=48:96"}, "few of the sizes in a range suit a network; .*as --choice"),
        ({"range": "freeze_depth=0:6"}, "--range freeze_depth=0:6: 6 is beyond the 5 stages of resnet18"),
        ({"range": "freeze_depth=0:2:log"}, "is a whole number"),
        ({"choice": "batch_size=128"}, "--choice batch_size=128: a choice needs at least two values; use --fix"),
        ({"choice": "batch_size=64,64"}, "64 is given twice"),
        ({"fix": "optimizer"}, "--fix optimizer: should be SETTING=VALUE"),
        ({"range": "learning_rate=1"}, "should be SETTING=LOW:HIGH"),
        ({"range": "learning_rate=1:2:often"}, "should be SETTING=LOW:HIGH"),
        ({"fix": ["mixup=0", "mixup=1"]}, "--fix mixup=1: mixup is given as --fix mixup=0 too; keep one"),
        ({"fix": "mixup=0", "range": "mixup=0:1"}, "--range mixup=0:1: mixup is given as --fix mixup=0 too"),
        (
            {"fix": "optimizer=adamw", "range": "momentum=0.5:0.9"},
            "--range momentum=0.5:0.9: momentum is drawn only where optimizer is sgd, and --fix optimizer=adamw rules",
        ),
    ],
)
def test_what_does_not_fit_is_told_under_its_option(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        changed(**given)


def test_all_faults_are_told_and_each_once() -> None:
    spaces = {name: from_resolved({**SPACE, "backbone": name}) for name in ("resnet18", "resnet34")}
    with pytest.raises(UserError) as error:
        with_changes(spaces, read_changes(fix=["optimzer=adamw", "mixup=-1"]))
    assert len(str(error.value).splitlines()) == 2


def test_nothing_left_to_search_is_refused() -> None:
    one = {"backbone": "resnet18", "search": {"mixup": {"uniform": [0, 1]}}}
    with pytest.raises(UserError, match="the space of resnet18: search: is empty"):
        changed(one, fix="mixup=0")


def test_every_backbone_of_a_search_has_them() -> None:
    options = SearchOptions(
        data="d",
        backbones=["cnn_simpler", "cnn_separable"],
        changes=read_changes(choice="batch_size=128,256", fix={"weight_decay": 0.02}),
    )
    spaces, _ = chosen_spaces(options)
    for space in spaces.values():
        assert space.parameters["batch_size"].values == (128, 256)
        assert space.fixed["weight_decay"] == 0.02
        assert "weight_decay" not in space.parameters


def test_weights_are_said_once() -> None:
    options = SearchOptions(
        data="d", backbones=["cnn_simpler"], weights=["a.pt"], changes=read_changes(fix="weights=b.pt")
    )
    with pytest.raises(UserError, match=r"--fix weights=b\.pt: --weights says where trials start"):
        chosen_spaces(options)
