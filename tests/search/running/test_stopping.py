from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from fer_tune.search.running.ending import ALIKE, Limits, failing_alike


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that Tune would have got."""
    seen: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, number: seen.append(number))
    return seen


def report(limits: Limits, **result: Any) -> None:
    trial = SimpleNamespace(trial_id="a", get_error=lambda: None)
    limits.on_trial_result(1, [], trial, result)  # type: ignore[arg-type]


def test_a_reached_target_stops_once(asked):
    limits = Limits(0.6)
    report(limits, best_val_accuracy=0.59)
    assert asked == []
    report(limits, best_val_accuracy=0.6)
    report(limits, best_val_accuracy=0.7)
    assert asked == [signal.SIGUSR1]


def test_without_a_target_nothing_is_stopped(asked):
    report(Limits(None), best_val_accuracy=1.0)
    assert asked == []


def test_failures_for_one_reason_stop_the_search_and_others_do_not(asked):
    limits = Limits(None)
    for size in range(ALIKE - 1):
        report(limits, error=f"out of memory at batch_size {size}")
        report(limits, error=f"quite another fault in {'x' * size}")
    assert asked == []
    report(limits, error="out of memory at batch_size 512")
    assert asked == [signal.SIGUSR1]


def test_dead_processes_count(asked):
    limits = Limits(None)
    dead = SimpleNamespace(trial_id="a", get_error=lambda: "Traceback\n  The worker died of signal 9\n")
    for _ in range(ALIKE):
        limits.on_trial_error(1, [], dead)  # type: ignore[arg-type]
    assert asked == [signal.SIGUSR1]


def test_a_resumed_search_goes_beyond_the_target(asked):
    limits = Limits(0.6)
    limits.set_state(limits.get_state())
    report(limits, best_val_accuracy=0.9)
    assert asked == []


def test_the_shared_cause_is_named_as_it_was_met():
    errors = [f"no memory for {size} MB" for size in range(ALIKE)]
    assert failing_alike(["once", *errors]) == "no memory for 0 MB"
    assert failing_alike(errors[1:]) is None
