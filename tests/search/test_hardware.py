from __future__ import annotations

import pytest
import ray

from fer_tune.errors import UserError
from fer_tune.search.hardware import Resources


@pytest.fixture
def machine(monkeypatch):
    def have(cpus: float, gpus: float = 0.0) -> None:
        there = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
        monkeypatch.setattr(ray, "cluster_resources", lambda: there)

    return have


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers", "expected"),
    [
        (2, 0, 1, Resources(1, 0, 1, 2)),  # a small laptop: one thread a trial
        (16, 0, 1, Resources(4, 0, 1, 4)),  # a workstation: four side by side
        (16, 1, 1, Resources(8, 1, 1, 1)),
        (64, 8, 1, Resources(8, 1, 1, 8)),
        (16, 0, 2, Resources(2, 0, 2, 4)),
        (64, 8, 2, Resources(8, 1, 2, 4)),
    ],
)
def test_what_is_left_open_follows_the_machine(machine, cpus, gpus, workers, expected):
    machine(cpus, gpus)
    assert Resources.choose(None, None, workers, None) == expected


def test_what_is_asked_for_is_given(machine):
    machine(16, 1)
    assert Resources.choose(2, 0.25, 1, None) == Resources(2, 0.25, 1, 4)
    assert Resources.choose(2, 0.25, 1, 3).concurrent == 3
    assert Resources.choose(2, 0.25, 1, 99).concurrent == 4
    assert Resources.choose(1, 0, 1, None).gpus == 0


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers", "message"),
    [
        (3, None, 1, r"--cpus-per-trial 3: .*a trial needs 3, but Ray has 2"),
        (2, None, 2, r"--cpus-per-trial 2: with 2 worker\(s\) a trial needs 4"),
        (1, 1, 1, r"--gpus-per-trial 1: .*but Ray has 0"),
    ],
)
def test_more_than_there_is_is_refused(machine, cpus, gpus, workers, message):
    machine(2)
    with pytest.raises(UserError, match=message):
        Resources.choose(cpus, gpus, workers, None)
