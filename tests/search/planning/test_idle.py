"""What of a search's options does nothing is said before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drawing import tiny_dataset

from fer_tune.run_folder import Candidate
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning.idle import idle
from fer_tune.search.planning.plan import make_plan
from fer_tune.search.spaces.loading import from_resolved

SEARCH = {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}


def told(given: int = 0, fixed: dict[str, Any] | None = None, **asked: Any) -> list[str]:
    """What is said of options beside 20 trials of 12 epochs, ``given`` of which are tried before any is drawn."""
    space = from_resolved({"backbone": "cnn_simpler", "search": SEARCH, "fixed": fixed or {}})
    options = SearchOptions(data=Path("d"), backbones=["cnn_simpler"], **asked)
    first = [Candidate(name=f"known/{number}", config={}) for number in range(given)]
    return idle(options, {"cnn_simpler": space}, {"cnn_simpler": first}, {"cnn_simpler": options.trials}, classes=7)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"grace_period": 11, "concurrent": 20, "target": 0.5, "given": 2},
        {"scheduler": "none", "epochs": 1},
        {"sampler": "random", "trials": 3, "given": 2},
        {"warm_start": ["runs"], "warm_start_top": 9},
        {"fixed": {"early_stopping": 5, "unfreeze_epoch": 12, "freeze_depth": 2, "warmup_epochs": 3}},
        {"objectives": ("val_loss",), "target": 1.5},
    ],
)
def test_nothing_is_said_of_options_that_work(asked: dict[str, Any]) -> None:
    assert told(**asked) == []


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (
            {"grace_period": 12},
            "--scheduler asha: stops no trial, since --grace-period 12 is not shorter than",
        ),
        (
            {"epochs": 2, "scheduler": "median"},
            "--scheduler median: stops no trial, since --grace-period 2 is no",
        ),
        ({"concurrent": 21}, "--concurrent 21: the search has 20 trials in all"),
        ({"warm_start_top": 9}, "--warm-start-top 9: no run is named by --warm-start"),
        ({"target": 0.1}, "--target 0.1: guessing among 7 classes has 14.29 %"),
        ({"target": 2.0, "objectives": ("val_loss",)}, "--target 2: guessing among 7 classes has 1.9459"),
        ({"fixed": {"early_stopping": 12}}, "cnn_simpler: early_stopping 12 ends no trial"),
        ({"fixed": {"unfreeze_epoch": 13, "freeze_depth": 2}}, "cnn_simpler: unfreeze_epoch 13 unfreezes nothing"),
        ({"fixed": {"warmup_epochs": 12}}, "cnn_simpler: warmup_epochs 12 is all of a trial"),
        (
            {"sampler": "gp", "trials": 8},
            "--sampler gp: what it draws of --trials 8 is random; it learns once 8",
        ),
        ({"trials": 2, "given": 3}, "cnn_simpler: all of --trials 2 are given .*, and 1 more that are not tried"),
    ],
)
def test_what_does_nothing_is_said(asked: dict[str, Any], sentence: str) -> None:
    (found,) = told(**asked)
    assert found.startswith(sentence.partition(" .*")[0])
    assert sentence.partition(".*")[2] in found


def test_a_plan_tells_it(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", n_train=14, n_val=7, n_test=7)
    plan = make_plan(SearchOptions(data=str(tmp_path / "data"), backbones=["cnn_simpler"], trials=9, grace_period=40))
    assert [text for text in plan.told if "--grace-period 40" in text]
