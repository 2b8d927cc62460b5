"""What W&B can do to a search: be killed, refuse the key, say nothing, fall silent, find the disk full."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fake_run import FakeRun
from wandb_once import record_one
from wandb_reader import read_runs
from wandb_server import serving
from whole_run import whole_run

from analysis.recording.record import record_refit
from analysis.refits.training import RefitTask
from fer_tune.config import TrialConfig
from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.tracking import service
from fer_tune.tracking.mode import finish_seconds, resolve_mode
from fer_tune.tracking.record import search_run_id
from fer_tune.tracking.session import UNFINISHED, Session
from fer_tune.tracking.sync import sync_hint, unsynced, upload
from fer_tune.tracking.wandb_callback import WandbCallback

KEY = "8899aabbccddeeff" * 3


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def start(session: Session, name: str) -> None:
    session.start(name, name=name, group="smoke", job_type="trial", config={"learning_rate": 0.1})


def log(session: Session, name: str, epoch: int) -> None:
    session.log(name, {"epoch": epoch, "val_accuracy": epoch / 10})


def whole(session: Session, name: str) -> None:
    start(session, name)
    for epoch in (1, 2):
        log(session, name, epoch)
    session.finish(name, {"status": "completed"})


def epochs(folder: Path) -> dict[str, list[int]]:
    return {name: [row["epoch"] for row in run.history] for name, run in read_runs(folder).items()}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = (entry for entry in caplog.records if entry.name.startswith("fer_tune"))
    return [entry.getMessage() for entry in ours if entry.levelno >= logging.WARNING]


def test_a_service_killed_in_mid_search_costs_no_trial(run_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    session = Session(run_folder, "offline")
    whole(session, "before")
    for name in ("first", "second"):
        start(session, name)
        log(session, name, 1)
    wait_for(lambda: set(session._runs) == {"first", "second"} and session._calls.empty())
    time.sleep(0.5)  # W&B writes what it was told last
    assert session._service is not None
    os.kill(session._service.pid, signal.SIGKILL)
    session._service.wait(10)
    for name in ("first", "second"):
        log(session, name, 2)
        session.finish(name, {"status": "completed"})
    whole(session, "after")
    session.close()
    assert epochs(run_folder) == {name: [1, 2] for name in ("before", "first", "second", "after")}
    assert {run.summary["status"] for run in read_runs(run_folder).values()} == {"completed"}
    assert warnings(caplog) == [session.warning]
    assert f"recording offline in {run_folder / 'wandb'}" in str(session.warning)


def test_a_wrong_key_falls_back_to_offline_and_a_good_one_uploads_later(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as server:
        server.key = KEY
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY[::-1])
        assert resolve_mode("online") == "online"  # it is well-formed, and the server is not asked
        session = Session(run_folder, "online")
        whole(session, "a")
        whole(session, "b")
        session.close()
        assert epochs(run_folder) == {"a": [1, 2], "b": [1, 2]}
        assert warnings(caplog) == [session.warning]
        assert KEY[::-1] not in str(session.warning)
        assert len(upload(run_folder)[1]) == 2  # refused once more, and kept
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        assert upload(run_folder) == (2, [])
    assert {name: [row["epoch"] for row in rows] for name, rows in server.history.items()} == epochs(run_folder)


def test_a_server_that_takes_connections_and_says_nothing_falls_back_to_offline(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        session = Session(run_folder, "online", init_timeout=5.0)
        before = time.monotonic()
        whole(session, "a")
        whole(session, "b")
        assert time.monotonic() - before < 4.5  # the search never waits
        session.close()
    assert epochs(run_folder) == {"a": [1, 2], "b": [1, 2]}
    assert warnings(caplog) == [session.warning]
    assert sync_hint(RunFolder(run_folder))


def test_a_server_that_falls_silent_is_left_in_time_and_the_run_is_uploaded_later(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        session = Session(run_folder, "online", finish_timeout=8.0)  # W&B writes its record every 5 s
        start(session, "a")
        wait_for(lambda: "a" in session._runs)
        server.answering.clear()
        log(session, "a", 1)
        session.finish("a", {"status": "completed"})
        before = time.monotonic()
        session.close()
        assert time.monotonic() - before < 40
        server.answering.set()
    assert warnings(caplog) == [session.warning]
    assert session.warning == (
        f"W&B: not done 8 s after the end; what is recorded is kept in {run_folder / 'wandb'}, upload it with "
        "`fer-tune sync`"
    )
    (left,) = unsynced(run_folder)
    assert left.name.startswith("run-")  # of a run that was online
    assert (left / UNFINISHED).is_file()
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        assert upload(run_folder) == (1, [])
        assert [row["epoch"] for row in server.history["a"]] == [1]
        assert upload(run_folder) == (0, [])


def test_a_server_that_limits_the_rate_is_not_waited_for_and_gets_the_rest_later(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        server.rate = 0.1
        session = Session(run_folder, "online", init_timeout=4.0)
        before = time.monotonic()
        whole(session, "a")
        whole(session, "b")
        assert time.monotonic() - before < 3.5  # the search never waits
        session.close()
        assert server.refused
        assert warnings(caplog) == [session.warning]
        server.rate = None
        upload(run_folder)
        assert unsynced(run_folder) == []
    assert {name: {row["epoch"] for row in rows} for name, rows in server.history.items()} == {"a": {1, 2}, "b": {1, 2}}


def test_the_run_of_the_search_does_not_wait_or_warn_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    run = FakeRun(tmp_path / "whole", backbones=("cnn_residual",)).write()
    trial = cast(Any, SimpleNamespace(trial_id="late", config={"backbone": "cnn_residual"}))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracker = WandbCallback(run.path, "whole", "tiny", "online", init_timeout=3.0, finish_timeout=240)
        tracker.on_trial_start(0, [], trial)
        tracker.on_trial_result(0, [], trial, {"epoch": 1, "val_accuracy": 0.5, "finished": True})
        tracker.on_trial_complete(0, [], trial)
        tracker.on_experiment_end([trial])
    recorded = read_runs(run.path)
    assert {one.run.job_type for one in recorded.values()} == {"trial", "search"}
    assert recorded[search_run_id(run.settings())].table("leaderboard")
    assert warnings(caplog) == [tracker.warning]
    assert str(tracker.warning).endswith(f"recording offline in {run.wandb}")


def test_refits_do_not_wait_for_a_silent_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    run, _ = whole_run(tmp_path)
    results = [result for refit in run.refits for result in refit.results]
    assert len(results) == 4
    config = TrialConfig(backbone="cnn_residual", epochs=4, learning_rate=0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        session = Session(run.folder.path, "online", init_timeout=3.0)
        before = time.monotonic()
        for result in results:
            folder = run.folder.refit_seed(result.config_id, result.seed)
            record_refit(run, RefitTask(result.config_id, result.seed, folder, config), result, session)
        assert time.monotonic() - before < 2.5  # it is for the next refit to start meanwhile
        session.close()
    names = {one.run.display_name for one in read_runs(run.folder.path).values()}
    assert names == {f"{result.config_id}/seed_{result.seed}" for result in results}
    assert warnings(caplog) == [session.warning]


def test_a_killed_service_leaves_no_traceback_of_wandbs_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda died: printed.append(str(died.thread and died.thread.name)))
    service._silence_its_threads.cache_clear()
    killed: list[bool] = []
    service.end(cast(Any, SimpleNamespace(kill=lambda: killed.append(True))))
    assert killed
    for name in ("NetStatThr", "of somebody else"):
        thread = threading.Thread(target=lambda: 1 / 0, name=name)
        thread.start()
        thread.join()
    assert printed == ["of somebody else"]
    service._silence_its_threads.cache_clear()


def test_an_online_run_that_arrived_whole_is_not_uploaded_again(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        session = Session(run_folder, "online")
        whole(session, "a")
        session.close()
        assert session.warning is None
        assert upload(run_folder) == (0, [])
    assert list(run_folder.rglob(UNFINISHED)) == []


def test_a_folder_that_cannot_be_written_warns_once_and_breaks_nothing(
    run_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (run_folder / "wandb").write_text("in the way")  # for root too, whom no permission stops
    session = Session(run_folder, "offline")
    whole(session, "a")
    whole(session, "b")
    session.close()
    assert warnings(caplog) == [session.warning]
    assert str(session.warning).endswith("not recorded from here on")
    assert session.mode == "disabled"


def test_a_full_disk_is_told_once(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = Session(run_folder, "offline")
    whole(session, "a")
    wait_for(lambda: session._calls.empty() and not session._runs)
    assert session.warning is None
    usage = shutil.disk_usage(run_folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    whole(session, "b")
    whole(session, "c")
    session.close()
    assert warnings(caplog) == [
        f"W&B: the record of b is not whole: is the disk of {run_folder / 'wandb'} full? The run's own tables have "
        "everything"
    ]


def test_a_record_that_does_not_hold_its_end_is_told(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of = service.Ending.of
    monkeypatch.setattr(service.Ending, "of", lambda run: replace(of(run), size=10**9))
    session = Session(run_folder, "offline")
    whole(session, "a")
    session.close()
    assert warnings(caplog) == [session.warning]
    assert str(session.warning).startswith("W&B: the record of a is not whole: ")


def test_a_disk_that_fills_up_is_told_once(tmp_path: Path) -> None:
    """On a disk of 160 KiB, in a mount namespace of its own, for which no rights are needed on most systems."""
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=160k tmpfs {disk}"
    if not shutil.which("unshare") or subprocess.run([*inside, mount], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let a user mount a small disk")
    program = f"{mount} && exec {sys.executable} {Path(__file__).with_name('fill_disk.py')} {disk}"
    result = subprocess.run([*inside, program], capture_output=True, text=True, check=True, timeout=400)
    told = json.loads(result.stdout)
    assert told["warning"].startswith("W&B: ")
    assert "is not whole: is the disk" in told["warning"] or "No space left" in told["warning"]
    assert result.stderr.count("W&B") <= 1


def test_the_wait_at_the_end_is_a_setting(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FER_TUNE_WANDB_FINISH")
    assert finish_seconds() == Session(run_folder, "offline").finish_timeout == 60
    monkeypatch.setenv("FER_TUNE_WANDB_FINISH", "5")
    assert finish_seconds() == Session(run_folder, "offline").finish_timeout == 5
    for wrong in ("soon", "0", "-1", "inf", "nan"):
        monkeypatch.setenv("FER_TUNE_WANDB_FINISH", wrong)
        with pytest.raises(UserError, match=f"FER_TUNE_WANDB_FINISH={wrong}: a number of seconds above 0"):
            resolve_mode("auto")  # before a search
    warning = record_one(run_folder, job_type="test", name="t", group="smoke", config={})
    assert warning == "W&B: FER_TUNE_WANDB_FINISH=nan: a number of seconds above 0, such as 60"  # after a test, no stop
    assert len(read_runs(run_folder)) == 1
