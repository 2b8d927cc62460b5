"""The API key stays where the user put it: on no command line, in no runtime environment of Ray, file or output."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

# isort: split
import psutil  # Ray brings it
import pyarrow.parquet as pq
from drawing import tiny_dataset
from wandb_once import record_one
from wandb_server import serving

from fer_tune.search.cluster import ray_session
from fer_tune.tracking.session import Session
from fer_tune.tracking.sync import upload
from fer_tune.tracking.wandb_internals import service_process

KEY = "1029384756afbecd" * 3
TRIALS = 5


def command_lines() -> list[bytes]:
    """Return the command line of every process of this machine, as `ps` shows them to anybody."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            found.append(file.read_bytes())
    return found


def holding(folder: Path) -> list[Path]:
    """Return the files below ``folder`` that hold the key."""
    found = []
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # sockets, and what has just gone
            if file.is_file() and KEY.encode() in file.read_bytes():
                found.append(file)
    return found


def test_it_is_on_no_command_line(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        session = Session(run_folder, "online")
        session.start("a", name="a", config={})
        session.log("a", {"epoch": 1})
        deadline = time.monotonic() + 120
        while not session._calls.empty() or session._service is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process = service_process()
        assert process is not None
        shown = [b"\0".join(map(os.fsencode, psutil.Process(process.pid).cmdline())), *command_lines()]
        session.close()
    assert any(b"wandb-core" in line for line in shown)
    assert not any(KEY.encode() in line for line in shown)


def test_an_upload_does_not_name_it(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert record_one(run_folder, job_type="refit", name="r", group="g", config={}) is None
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    asked: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(subprocess, "run", lambda *words, **more: asked.append((words, more)))
    upload(run_folder)
    (call,) = asked
    assert "sync" in str(call)
    assert KEY not in str(call)


@pytest.mark.parametrize("address", [None, "head:6379"])
def test_it_is_in_no_runtime_environment_of_ray(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def started(**options: Any) -> SimpleNamespace:
        asked.append(str(options))
        return SimpleNamespace(address_info={"address": "10.0.0.1:6379", "webui_url": ""})

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "init", started)
    monkeypatch.setattr(ray_session, "start_ray", started)
    monkeypatch.setattr(ray_session, "check_answers", lambda named: None)
    if address is None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("RAY_ADDRESS", address)
    with ray_session.ray_session():
        pass
    (options,) = asked
    assert "runtime_env" in options
    assert KEY not in options


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ft-", ignore_cleanup_errors=True) as folder:  # sockets need short paths
        yield Path(folder)


@pytest.mark.slow
def test_a_search_whose_wandb_is_killed_ends_well_loses_nothing_and_keeps_the_key(
    tmp_path: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_dataset(tmp_path / "data", n_train=700, n_val=70, n_test=14)
    run, log = tmp_path / "runs" / "r", tmp_path / "search.log"
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("RAY_TMPDIR", str(ray_folder))
    words = (
        *("search", "--data", tmp_path / "data", "--backbone", "cnn_simpler", "--trials", TRIALS, "--epochs", 3),
        *("--storage", tmp_path / "runs", "--name", "r", "--wandb", "online", "--concurrent", 1),
    )
    program = [sys.executable, "-c", "from fer_tune.cli.main import main; main()", *map(str, words)]
    with serving() as server, log.open("wb") as out:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        search = subprocess.Popen(program, stdout=out, stderr=out, start_new_session=True)
        try:
            shown, killed = _watch(search, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(search.pid, signal.SIGKILL)
            search.wait()
        told = log.read_text()
        assert search.returncode == 0, told
        assert killed, told
        assert told.count("W&B: ") <= 3, told  # the warning, at its time and at the end, and how to upload
        assert "Traceback" not in told
        trials = pq.read_table(run / "trials.parquet").to_pylist()
        assert {row["status"] for row in trials} <= {"completed", "stopped"}
        assert len(trials) == TRIALS
        assert upload(run)[1] == []
    trained: dict[str, set[int]] = {}
    for row in pq.read_table(run / "epochs.parquet").to_pylist():
        trained.setdefault(f"r-{row['trial_id']}", set()).add(row["epoch"])
    sent = {name: {row["epoch"] for row in rows} for name, rows in server.history.items() if name in trained}
    assert sent == trained
    assert not any(KEY.encode() in line for line in shown)
    assert KEY not in told
    assert holding(run) == []
    assert holding(ray_folder) == []
    assert any(ray_folder.rglob("*.log")), "Ray wrote elsewhere"


def _watch(search: subprocess.Popen[bytes], log: Path) -> tuple[set[bytes], bool]:
    """Kill W&B once a trial has ended; return every command line that was seen, and whether it was killed."""
    shown: set[bytes] = set()
    killed = False
    deadline = time.monotonic() + 900
    while search.poll() is None:
        assert time.monotonic() < deadline, log.read_text()
        shown.update(command_lines())
        if not killed and f"/{TRIALS}] " in log.read_text():
            for process in psutil.Process(search.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "wandb-core" in process.name():
                        process.kill()
                        killed = True
        time.sleep(0.3)
    return shown, killed
