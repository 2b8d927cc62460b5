from __future__ import annotations

import errno
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from fer_tune.objectives import OBJECTIVES
from fer_tune.search.running.ending import ALIKE, RECENT, Limits, failing_alike


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


def test_a_target_is_of_what_the_search_is_for(asked):
    limits = Limits(1.0, OBJECTIVES["val_loss"])
    report(limits, best_val_loss=1.1, best_val_accuracy=1.0)
    assert asked == []
    report(limits, best_val_loss=0.9)
    assert asked == [signal.SIGUSR1]


def test_without_a_target_nothing_is_stopped(asked):
    report(Limits(None), best_val_accuracy=1.0)
    assert asked == []


def end(limits: Limits, error: str | None = None) -> None:
    report(limits, **({"error": error} if error else {"best_val_accuracy": 0.5}))
    limits.on_trial_complete(1, [], SimpleNamespace(trial_id="a"))  # type: ignore[arg-type]


def test_failures_for_one_reason_stop_the_search_and_others_do_not(asked):
    limits = Limits(None)
    for size in range(ALIKE - 1):
        end(limits, f"out of memory at batch_size {size}")
        end(limits, f"quite another fault in {'x' * size}")
    assert asked == []
    end(limits, "out of memory at batch_size 512")
    assert asked == [signal.SIGUSR1]


def test_dead_processes_count(asked):
    limits = Limits(None)
    dead = SimpleNamespace(trial_id="a", get_error=lambda: "Traceback\n  The worker died of signal 9\n")
    for _ in range(ALIKE):
        limits.on_trial_error(1, [], dead)  # type: ignore[arg-type]
    assert asked == [signal.SIGUSR1]


def test_a_failure_that_passed_does_not_count(asked):
    limits = Limits(None)
    for _ in range(3 * ALIKE):
        report(limits, error="Input/output error")
        end(limits)  # it ran again and ended well
    assert asked == []


def test_some_that_do_not_fit_do_not_end_a_search_of_many(asked):
    """One combination in nine is too large for the memory: a third of the trials may draw it."""
    limits = Limits(None)
    for index in range(200):
        end(limits, f"out of memory at batch_size {index}" if index % 3 == 0 else None)
    assert asked == []


def test_a_cause_that_comes_late_is_found_soon(asked):
    limits = Limits(None)
    for _ in range(100):
        end(limits)
    failed = 0
    while not asked:
        end(limits, "the driver is too old")
        failed += 1
    assert failed == RECENT // 2 + 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_under_the_run_stops_the_search_at_once_and_one_elsewhere_does_not(asked, code, tmp_path):
    limits = Limits(None, folder=tmp_path)
    end(limits, f"OSError: {OSError(code, os.strerror(code), '/tmp/fer-tune-x/state.pt')}")
    assert asked == []
    end(limits, f"OSError: {OSError(code, os.strerror(code), str(tmp_path / 'tune' / 'state.pt'))}")
    assert asked == [signal.SIGUSR1]


def test_a_resumed_search_goes_beyond_the_target(asked):
    limits = Limits(0.6)
    limits.set_state(limits.get_state())
    report(limits, best_val_accuracy=0.9)
    assert asked == []


def test_the_shared_cause_is_named_as_it_was_met():
    errors = [f"no memory for {size} MB" for size in range(ALIKE)]
    assert failing_alike(["once", None, *errors]) == "no memory for 0 MB"
    assert failing_alike([*[None] * ALIKE, *errors]) is None  # half of them
    assert failing_alike(errors[1:]) is None
