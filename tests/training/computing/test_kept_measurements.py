"""What was measured is kept for the same network on the same kind of machine, and for nothing else."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fer_tune.training.computing import kept_measurements
from fer_tune.training.computing.kept_measurements import measured
from fer_tune.training.computing.measuring import Candidate, Workload

MODEL = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
LOAD = Workload("cnn_residual", "own", 0, batch=64, channels=1, height=48, width=48, classes=7)
FOUND = [Candidate("fp32", (), 2.0), Candidate("bf16", ("0",), 1.0)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "plans"


class Counted:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self, model: nn.Module, load: Workload, steps: int) -> list[Candidate]:
        self.times += 1
        return FOUND


def test_it_is_measured_once(cache: Path) -> None:
    measure = Counted()
    first, second = (measured(MODEL, LOAD, 1000, measure) for _ in range(2))
    assert (first, measure.times) == (second, 1)
    assert first.candidates == FOUND
    assert first.processor
    assert [file.suffix for file in cache.iterdir() if not file.name.startswith(".")] == [".json"]


@pytest.mark.parametrize(
    "other", [{"backbone": "resnet18"}, {"head": "64"}, {"freeze_depth": 1}, {"batch": 32}, {"height": 96}], ids=str
)
def test_another_network_is_measured_for_itself(other: dict[str, Any]) -> None:
    measure = Counted()
    measured(MODEL, LOAD, 1000, measure)
    measured(MODEL, dataclasses.replace(LOAD, **other), 1000, measure)
    assert measure.times == 2


def test_another_machine_is_measured_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    measure, here = Counted(), kept_measurements.machine()
    measured(MODEL, LOAD, 1000, measure)
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    assert kept_measurements.machine() != here
    measured(MODEL, LOAD, 1000, measure)
    assert measure.times == 2


@pytest.mark.parametrize("content", ["", "{}", '{"candidates": []}', '{"candidates": [{"precision": 1}]}'])
def test_a_damaged_file_is_measured_anew(cache: Path, content: str) -> None:
    measured(MODEL, LOAD, 1000, Counted())
    (file,) = cache.glob("*.json")
    file.write_text(content)
    measure = Counted()
    assert measured(MODEL, LOAD, 1000, measure).candidates == FOUND
    assert measure.times == 1


def test_what_was_kept_of_another_network_of_that_name_is_not_taken() -> None:
    measured(MODEL, LOAD, 1000, Counted())
    measure = Counted()
    measured(nn.Sequential(nn.Linear(1, 1)), LOAD, 1000, measure)
    assert measure.times == 1


def test_where_nothing_can_be_written_it_is_measured_all_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "file" / "below"))
    assert measured(MODEL, LOAD, 1000, Counted()).candidates == FOUND


def test_trials_side_by_side_wait_for_the_one_that_measures() -> None:
    inside, most, times = 0, 0, 0
    started = threading.Barrier(3)

    def measure(model: nn.Module, load: Workload, steps: int) -> list[Candidate]:
        nonlocal inside, most, times
        inside, times = inside + 1, times + 1
        most = max(most, inside)
        threading.Event().wait(0.05)
        inside -= 1
        return FOUND

    def trial(load: Workload) -> None:
        started.wait()
        measured(MODEL, load, 1000, measure)

    loads = (LOAD, LOAD, dataclasses.replace(LOAD, batch=32))
    threads = [threading.Thread(target=trial, args=(load,)) for load in loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, times) == (1, 2)
