"""A search that dies in any way goes on: Ctrl-C, SIGTERM, a terminal that closes, kill -9 of the driver."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from drawing import tiny_dataset
from optuna.trial import TrialState

from fer_tune.search.proposing.studies import open_studies

TRIALS = 6


@pytest.fixture
def start():
    """Return a function that starts `fer-tune ...`; whatever it started is ended with the test."""
    started = []

    def run(*arguments: object, log: Path) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-c", "from fer_tune.cli.main import main; main()", *map(str, arguments)]
        with log.open("ab") as out:
            started.append(subprocess.Popen(program, stdout=out, stderr=out, start_new_session=True))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for_trials(run: Path, count: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        if log.read_text().count(f"/{TRIALS}] ") >= count:
            return
        time.sleep(0.3)
    raise AssertionError(f"{count} trials did not end:\n{log.read_text()}")


def statuses(run: Path) -> list[str]:
    return pq.read_table(run / "trials.parquet").column("status").to_pylist()


@pytest.fixture
def search(tmp_path):
    tiny_dataset(tmp_path / "data", n_train=2100, n_val=140, n_test=14)
    return (
        *("search", "--data", tmp_path / "data", "--backbone", "cnn_simpler", "--trials", TRIALS, "--epochs", 6),
        *("--storage", tmp_path / "runs", "--name", "r", "--wandb", "disabled", "--concurrent", 1),
    )


def finish(start, tmp_path: Path) -> None:
    """Resume, and check that every trial ended once and that the study agrees."""
    run, log = tmp_path / "runs" / "r", tmp_path / "resume.log"
    before = set(statuses(run)) and pq.read_table(run / "trials.parquet").to_pylist()
    done = {row["trial_id"]: row for row in before if row["status"] in ("completed", "stopped")}
    assert start("resume", run, log=log).wait(300) == 0, log.read_text()
    rows = {row["trial_id"]: row for row in pq.read_table(run / "trials.parquet").to_pylist()}
    assert len(rows) == TRIALS, log.read_text()
    assert set(statuses(run)) <= {"completed", "stopped"}
    for trial_id, row in done.items():
        if trial_id in rows:  # Tune's last snapshot may be older than the table
            assert rows[trial_id]["val_accuracy"] == pytest.approx(row["val_accuracy"], abs=0.15)
    (study,) = open_studies(run / "study.journal", ["cnn_simpler"], 0).values()
    told = {trial.user_attrs.get("trial_id"): trial.state for trial in study.trials}
    ended = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED}
    assert {name: told[name] for name in rows} == {name: ended[row["status"]] for name, row in rows.items()}
    assert TrialState.RUNNING not in told.values()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_cleanly_and_says_how_to_go_on(start, search, tmp_path, number):
    run, log = tmp_path / "runs" / "r", tmp_path / "search.log"
    process = start(*search, log=log)
    wait_for_trials(run, 2, process, log)
    process.send_signal(number)
    assert process.wait(60) == 130
    assert f"Go on with: fer-tune resume {run}" in log.read_text()
    assert "Traceback" not in log.read_text()
    finish(start, tmp_path)


@pytest.mark.slow
def test_a_terminal_that_is_closed_leaves_a_search_that_goes_on(search, start, tmp_path):
    """All in the terminal hear it, Ray's daemons too, and nothing can be printed any more."""
    child, terminal = pty.fork()
    if child == 0:
        program = [sys.executable, "-c", "from fer_tune.cli.main import main; main()", *map(str, search)]
        os.execv(sys.executable, program)
    shown = b""
    deadline = time.monotonic() + 240
    while shown.count(b"completed after") + shown.count(b"completed 1") == 0 and time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 130, shown.decode(errors="replace")[-2000:]
    assert "failed" not in statuses(tmp_path / "runs" / "r")
    finish(start, tmp_path)


@pytest.mark.slow
def test_a_driver_that_is_killed(start, search, tmp_path):
    run, log = tmp_path / "runs" / "r", tmp_path / "search.log"
    process = start(*search, log=log)
    wait_for_trials(run, 3, process, log)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    time.sleep(12)  # Ray's daemons notice, and end by themselves
    finish(start, tmp_path)


@pytest.mark.slow
def test_an_interrupted_search_in_python_goes_on_in_the_same_process(tmp_path):
    tiny_dataset(tmp_path / "data", n_train=2100, n_val=140, n_test=14)
    program = f"""
import fer_tune
try:
    fer_tune.search(
        data={str(tmp_path / "data")!r}, backbone="cnn_simpler", trials={TRIALS}, epochs=6, name="r", concurrent=1,
        storage={str(tmp_path / "runs")!r}, wandb="disabled",
    )
except fer_tune.Interrupted as stop:
    print("INTERRUPTED", stop, flush=True)
    run = fer_tune.resume(stop.run)
    print("RESUMED", len(run.trials), run.reason or "to its end", flush=True)
"""
    log = tmp_path / "python.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=out, stderr=out, start_new_session=True)
    try:
        wait_for_trials(tmp_path / "runs" / "r", 2, process, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0, log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    told = log.read_text()
    assert "INTERRUPTED interrupted; nothing finished is lost. Go on with: fer-tune resume" in told
    assert f"RESUMED {TRIALS} to its end" in told
    assert "Traceback" not in told
    assert set(statuses(tmp_path / "runs" / "r")) <= {"completed", "stopped"}
