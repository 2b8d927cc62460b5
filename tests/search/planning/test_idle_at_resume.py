"""What of a resume's options does nothing is said, and is not on record."""

from __future__ import annotations

from typing import Any

import pytest

from fer_tune.run_folder import DatasetRef, SearchSettings
from fer_tune.search.options import ResumeOptions
from fer_tune.search.planning.idle_at_resume import idle_at_resume, more_than_left

SETTINGS = SearchSettings(
    name="run",
    created="2026-01-02T03:04:05+00:00",
    dataset=DatasetRef(path="/data/faces", name="faces", content_hash="0" * 64, classes=["happy", "sad"]),
    backbones=["cnn_simpler"],
    trials=4,
    planned={"cnn_simpler": 4},
    epochs=3,
    cpus_per_trial=1,
    concurrent=2,
    checkpoint_every=300.0,
)


def told(left: int = 2, failed: int = 0, **asked: Any) -> list[str]:
    return list(idle_at_resume(ResumeOptions(**asked), SETTINGS, left, failed).values())


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"trials": 6, "epochs": 9, "time_budget_seconds": 60.0, "checkpoint_every": 30.0, "data": "/elsewhere"},
        {"concurrent": 1},
        {"cpus_per_trial": 2, "concurrent": 2},  # without it as many run side by side as fit
        {"retry_failed": True, "failed": 1},
    ],
)
def test_nothing_is_said_of_options_that_work(asked: dict[str, Any]) -> None:
    assert told(**asked) == []


@pytest.mark.parametrize(
    ("asked", "begin"),
    [
        ({"trials": 4}, "--trials 4: is what the search has already"),
        ({"epochs": 3}, "--epochs 3: is what the search has already"),
        ({"concurrent": 2}, "--concurrent 2: is what the search has already"),
        ({"cpus_per_trial": 1.0}, "--cpus-per-trial 1: is what the search has already"),
        ({"gpus_per_trial": 0.0}, "--gpus-per-trial 0: is what the search has already"),
        ({"checkpoint_every": 300.0}, "--checkpoint-every 300 s: is what the search has already"),
        ({"data": "/data/faces"}, "--data /data/faces: is where the search has its dataset already"),
        ({"retry_failed": True}, "--retry-failed: no trial failed that was not tried again"),
        ({"concurrent": 1, "left": 0}, "--concurrent 1: all trials have ended, so there is none that it holds for"),
        ({"time_budget_seconds": 60.0, "left": 0}, "--time-budget 60 s: all trials have ended"),
        ({"gpus_per_trial": 0.5, "left": 0}, "--gpus-per-trial 0.5: all trials have ended"),
        ({"checkpoint_every": 5.0, "left": 0}, "--checkpoint-every 5 s: all trials have ended"),
    ],
)
def test_an_option_without_effect_is_named(asked: dict[str, Any], begin: str) -> None:
    [line] = told(**asked)
    assert line.startswith(begin)


def test_more_side_by_side_than_are_left() -> None:
    assert more_than_left(ResumeOptions(concurrent=3), 2) == [
        "--concurrent 3: 2 trials are left; no more run side by side"
    ]
    assert more_than_left(ResumeOptions(concurrent=3), 1) == [
        "--concurrent 3: one trial is left; no more run side by side"
    ]
    assert more_than_left(ResumeOptions(concurrent=2), 2) == more_than_left(ResumeOptions(concurrent=2), 0) == []
