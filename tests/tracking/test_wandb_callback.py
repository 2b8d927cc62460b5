from __future__ import annotations

import logging
import os
import pickle
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import wandb
from wandb_reader import read_run, read_runs

from fer_tune.run_folder import METRICS, RunFolder
from fer_tune.tracking.sync import sync_hint
from fer_tune.tracking.wandb_callback import WandbCallback, run_id

KEY = "fedcba9876543210" * 3


def trial(trial_id: str = "t1", origin: str = "searched", error: str | None = None) -> Any:
    config = {"backbone": "cnn_baseline", "learning_rate": 0.003, "epochs": 3, "origin": origin, "_data": "/secret"}
    return SimpleNamespace(trial_id=trial_id, config=config, status="RUNNING", last_result={}, get_error=lambda: error)


def result(epoch: int, finished: bool = False, reason: str = "") -> dict[str, Any]:
    values = {name: epoch + place / 100 for place, name in enumerate(METRICS)}
    best = {"best_val_accuracy": 0.5 + epoch / 100, "best_epoch": epoch}
    return {**values, **best, "epoch": epoch, "finished": finished, "reason": reason, "done": False, "pid": 1}


def callback(folder: Path, mode: Any = "offline", **more: Any) -> WandbCallback:
    return WandbCallback(folder, "smoke", "tiny", mode, **more)


def play(tracker: WandbCallback, one: Any, results: list[dict[str, Any]], end: str = "complete") -> None:
    tracker.on_trial_start(0, [one], one)
    for values in results:
        tracker.on_trial_result(0, [one], one, values)
        one.last_result = values
    if end != "none":
        getattr(tracker, f"on_trial_{end}")(0, [one], one)


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_a_trial_is_a_run_with_its_settings_metrics_and_best_values(run_folder: Path) -> None:
    tracker, one = callback(run_folder), trial(origin="paper-2023")
    play(tracker, one, [result(1), result(2), result(3, finished=True, reason="all epochs")])
    tracker.on_experiment_end([one])

    recorded = read_runs(run_folder)["smoke-t1"]
    assert (recorded.run.run_group, recorded.run.job_type) == ("smoke", "trial")
    assert list(recorded.run.tags) == ["cnn_baseline", "tiny", "paper-2023"]
    settings = {name: value for name, value in recorded.config.items() if name != "_wandb"}
    assert settings == {"backbone": "cnn_baseline", "learning_rate": 0.003, "epochs": 3, "origin": "paper-2023"}
    assert [row["epoch"] for row in recorded.history] == [1, 2, 3]
    for row in recorded.history:
        assert {name: row[name] for name in METRICS} == {name: result(row["epoch"])[name] for name in METRICS}
    assert recorded.metrics["*"] == "epoch"
    assert recorded.summary["best_val_accuracy"] == 0.53
    assert recorded.summary["best_epoch"] == 3
    assert (recorded.summary["status"], recorded.summary["reason"]) == ("completed", "all epochs")
    assert recorded.exit_code == 0
    assert tracker.warning is None


@pytest.mark.parametrize("nodes", [1, 2])
def test_how_the_machine_is_used_is_recorded_where_trials_run_on_it(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, nodes: int
) -> None:
    """Not on a cluster, where W&B would show the head's use beside a trial of another node."""
    monkeypatch.setenv("WANDB_X_STATS_SAMPLING_INTERVAL", "0.1")  # seconds, of 15
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}] * nodes + [{"Alive": False}])
    tracker, one = callback(run_folder), trial()
    play(tracker, one, [result(1)], end="none")
    wait_for(lambda: any(run_folder.glob("wandb/offline-run-*/*.wandb")), seconds=60)
    time.sleep(1)  # ten samples
    tracker.on_trial_complete(0, [one], one)
    tracker.on_experiment_end([one])
    stats = read_runs(run_folder)["smoke-t1"].stats
    assert bool(stats) == (nodes == 1)
    if stats:
        assert {"cpu", "memory_percent"} <= set().union(*stats)


def test_stopped_and_failed_trials_are_marked(run_folder: Path) -> None:
    tracker = callback(run_folder)
    stopped, failed = trial("stopped"), trial("failed", error="Traceback ...\nRuntimeError: CUDA out of memory")
    early, lost, budget = trial("early"), trial("lost"), trial("budget")
    play(tracker, stopped, [result(1)])
    play(tracker, failed, [result(1)], end="error")
    play(tracker, early, [], end="error")
    play(tracker, lost, [result(1), result(2)], end="none")  # Ctrl-C
    play(tracker, budget, [result(1)], end="none")  # the time was up
    lost.status = budget.status = "TERMINATED"  # what Tune leaves in both cases
    tracker.on_experiment_end([stopped, failed, early, lost, budget])

    runs = {run_id.removeprefix("smoke-"): run for run_id, run in read_runs(run_folder).items()}
    told = {name: (run.summary["status"], run.summary["epochs"], run.exit_code) for name, run in runs.items()}
    assert told == {
        "stopped": ("stopped", 1, 0),
        "failed": ("failed", 1, 1),
        "early": ("failed", 0, 1),
        "lost": ("running", 2, 255),
        "budget": ("running", 1, 255),
    }
    assert runs["failed"].summary["error"].endswith("RuntimeError: CUDA out of memory")
    assert runs["lost"].summary["reason"] == "the search ended first"
    assert "best_val_accuracy" not in runs["early"].summary


def test_an_epoch_reported_twice_after_a_retry_goes_into_the_same_run(run_folder: Path) -> None:
    tracker, one = callback(run_folder), trial()
    play(tracker, one, [result(1), result(2)], end="none")
    play(tracker, one, [result(2), result(3, finished=True)])
    tracker.on_experiment_end([one])
    assert len(list((run_folder / "wandb").glob("offline-run-*"))) == 1
    assert [row["epoch"] for row in read_runs(run_folder)["smoke-t1"].history] == [1, 2, 2, 3]


def test_pickled_in_mid_search_it_goes_on_with_the_same_runs(run_folder: Path) -> None:
    tracker, one = callback(run_folder), trial()
    play(tracker, one, [result(1)], end="none")
    resumed, state = pickle.loads(pickle.dumps(tracker)), pickle.loads(pickle.dumps(tracker.get_state()))
    tracker.on_experiment_end([one])
    resumed.set_state(state)
    time.sleep(1.1)  # W&B names the folder by the second
    play(resumed, one, [result(2), result(3, finished=True)])
    resumed.on_experiment_end([one])

    first, second = map(read_run, sorted((run_folder / "wandb").glob("offline-run-*")))
    assert first.run.run_id == second.run.run_id == "smoke-t1"
    assert [[row["epoch"] for row in run.history] for run in (first, second)] == [
        [1],
        [1, 2, 3],
    ]  # the second is whole by itself
    assert (first.summary["status"], second.summary["status"]) == ("running", "completed")


def test_disabled_writes_and_starts_nothing(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb, "init", lambda **_: pytest.fail("wandb.init was called"))
    tracker, one = callback(run_folder, "disabled"), trial()
    play(tracker, one, [result(1, finished=True)])
    tracker.on_experiment_end([one])
    assert list(run_folder.iterdir()) == []
    assert tracker.warning is None
    assert sync_hint(RunFolder(run_folder)) == ""


def test_a_wandb_that_always_fails_warns_once_and_breaks_nothing(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: Any) -> None:
        raise wandb.errors.CommError("the server said no\nand more")

    monkeypatch.setattr(wandb, "init", broken)
    tracker, trials = callback(run_folder), [trial("a"), trial("b")]
    with caplog.at_level(logging.WARNING):
        for one in trials:
            play(tracker, one, [result(1), result(2, finished=True)])
        tracker.on_experiment_end(trials)
    (record,) = caplog.records
    assert record.getMessage() == tracker.warning == "W&B: the server said no; not recorded from here on"


def test_an_address_that_does_not_answer_falls_back_to_offline(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    tracker, trials = callback(run_folder, "online", init_timeout=2.0), [trial("a"), trial("b")]
    start = time.monotonic()
    for one in trials:
        play(tracker, one, [result(1), result(2, finished=True)])
    assert time.monotonic() - start < 1.9  # the search itself never waits
    tracker.on_experiment_end(trials)
    assert time.monotonic() - start < 40
    runs = read_runs(run_folder)
    assert {name: len(run.history) for name, run in runs.items()} == {"smoke-a": 2, "smoke-b": 2}
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert tracker.warning is not None
    assert f"recording offline in {run_folder / 'wandb'}" in tracker.warning
    assert sync_hint(RunFolder(run_folder)) == f"W&B: recorded offline; upload with: fer-tune sync {run_folder}"


def test_online_without_a_key_never_asks_at_the_terminal(run_folder: Path) -> None:
    tracker, one = callback(run_folder, "online"), trial()  # as after a resume elsewhere
    play(tracker, one, [result(1, finished=True)])
    tracker.on_experiment_end([one])
    assert "no W&B API key" in str(tracker.warning)
    assert len(read_runs(run_folder)["smoke-t1"].history) == 1


def test_a_killed_service_process_costs_no_epoch(run_folder: Path) -> None:
    tracker, one = callback(run_folder), trial()
    play(tracker, one, [result(1)], end="none")
    wait_for(lambda: tracker._session._service is not None and tracker._session._calls.empty())
    os.kill(tracker._session._service.pid, signal.SIGKILL)  # type: ignore[union-attr]
    time.sleep(1.1)
    for values in (result(2), result(3, finished=True)):
        tracker.on_trial_result(0, [one], one, values)
    tracker.on_trial_complete(0, [one], one)
    tracker.on_experiment_end([one])
    recorded = read_runs(run_folder)["smoke-t1"]
    assert [row["epoch"] for row in recorded.history] == [1, 2, 3]
    assert recorded.summary["status"] == "completed"
    assert "recording offline" in str(tracker.warning)


def test_a_hanging_service_process_is_left_after_the_finish_timeout(run_folder: Path) -> None:
    tracker, one = callback(run_folder, finish_timeout=1.0), trial()
    play(tracker, one, [result(1)], end="none")
    wait_for(lambda: tracker._session._service is not None)
    service = tracker._session._service
    assert service is not None
    os.kill(service.pid, signal.SIGSTOP)
    start = time.monotonic()
    tracker.on_experiment_end([one])
    assert time.monotonic() - start < 15
    assert "not done 1 s after the end" in str(tracker.warning)
    assert service.wait(5) == -signal.SIGKILL


def test_no_process_is_left_and_a_second_search_still_works(run_folder: Path) -> None:
    for name in ("a", "b"):
        tracker, one = callback(run_folder), trial(name)
        play(tracker, one, [result(1, finished=True)])
        tracker.on_experiment_end([one])
        assert tracker._session._service is not None
        assert tracker._session._service.poll() is not None  # ended
        tracker.on_experiment_end([one])  # and a second end is no harm
    assert set(read_runs(run_folder)) == {"smoke-a", "smoke-b"}


def test_a_wandb_that_is_torn_down_under_a_start_is_started_again(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init, failures = wandb.init, [RuntimeError("Cannot schedule tasks after join()")]

    def torn_down(**settings: Any) -> Any:
        if failures:
            raise failures.pop()
        return init(**settings)

    monkeypatch.setattr(wandb, "init", torn_down)
    tracker, one = callback(run_folder), trial()
    play(tracker, one, [result(1), result(2, finished=True)])
    tracker.on_experiment_end([one])
    assert failures == []
    assert tracker.warning is None
    assert len(read_runs(run_folder)["smoke-t1"].history) == 2


def test_two_searches_at_once_do_not_end_each_other(run_folder: Path) -> None:
    trackers, one = [callback(run_folder), WandbCallback(run_folder, "other", "tiny", "offline")], trial()
    for tracker in trackers:
        play(tracker, one, [result(1)], end="none")
    trackers[0].on_experiment_end([one])
    trackers[1].on_trial_result(0, [one], one, result(2, finished=True))
    trackers[1].on_trial_complete(0, [one], one)
    trackers[1].on_experiment_end([one])
    assert {name: len(run.history) for name, run in read_runs(run_folder).items()} == {"smoke-t1": 1, "other-t1": 2}
    assert [tracker.warning for tracker in trackers] == [None, None]


@pytest.mark.parametrize("mode", ["offline", "online"])
def test_the_key_is_in_no_file_and_nothing_is_printed(
    mode: str, run_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    tracker, one = callback(run_folder, mode, init_timeout=1.0), trial()
    play(tracker, one, [result(1, finished=True)])
    tracker.on_experiment_end([one])
    (run_folder / "tuner.pkl").write_bytes(pickle.dumps(tracker))
    files = [file for file in run_folder.rglob("*") if file.is_file()]
    assert len(files) > 2
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []
    printed = capfd.readouterr()
    assert KEY not in printed.out + printed.err
    assert printed.out == ""


def test_run_ids_are_ones_that_wandb_takes_and_stay_apart() -> None:
    assert run_id("smoke", "t_00001") == "smoke-t_00001"
    strange, other, long = run_id("a/b#c", "t1"), run_id("a/b?c", "t1"), run_id("x" * 200, "t1")
    assert strange != other
    assert not set("/\\#?%:") & set(strange + other)
    assert len(long) <= 100
    assert long != run_id("x" * 200, "t2")
