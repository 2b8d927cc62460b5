"""Every command on a run in a store, each on "another machine": a cache of its own, nothing else shared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from drawing import tiny_dataset
from pyarrow import fs

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 4, 6


class Machine:
    """Starts `fer-tune` with a cache and a home of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        folder.mkdir()
        own = {"FER_TUNE_CACHE": str(folder / "cache"), "HOME": str(folder)}
        self._environment = {**os.environ, **environment, **own}

    def log(self, command: object) -> Path:
        return self._folder / f"{command}.log"

    def start(self, *words: object) -> tuple[subprocess.Popen[bytes], Path]:
        log = self.log(words[0])
        program = [sys.executable, "-c", "from fer_tune.cli.main import main; main()", *map(str, words)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                program, stdout=out, stderr=out, env=self._environment, cwd=self._folder, start_new_session=True
            )
        return process, log

    def run(self, *words: object) -> str:
        process, log = self.start(*words)
        try:
            assert process.wait(900) == 0, log.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return log.read_text()


def objects(uri: str) -> dict[str, int]:
    """The objects of the store below ``uri`` by their names there, with their sizes."""
    filesystem, path = fs.FileSystem.from_uri(uri)
    found = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    return {info.path.removeprefix(f"{path}/"): info.size for info in found if info.type == fs.FileType.File}


def test_search_resume_refit_test_and_report_on_s3(store, bucket, tmp_path, monkeypatch):
    tiny_dataset(tmp_path / "data", n_train=1400, n_val=140, n_test=70)
    storage, run = f"{bucket}/runs", f"{bucket}/runs/r"
    machines = [Machine(tmp_path / f"machine{number}", store.environment) for number in range(4)]

    process, log = machines[0].start(
        *("search", "--data", tmp_path / "data", "--backbone", "cnn_simpler", "--trials", TRIALS, "--epochs", EPOCHS),
        *("--scheduler", "none", "--no-published", "--concurrent", 1, "--wandb", "offline"),
        *("--storage", storage, "--name", "r"),
    )
    deadline = time.monotonic() + 600
    while log.read_text().count(f"/{TRIALS}] ") < 2:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130, log.read_text()
    assert f"Go on with: fer-tune resume {run}" in log.read_text()
    assert "Traceback" not in log.read_text()
    there = objects(run)
    assert {"search.yaml", "study.journal", "trials.parquet", "epochs.parquet", "tune/tuner.pkl"} <= set(there)
    assert not any("/." in name or name.startswith(".") for name in there if not name.startswith("tune/"))
    assert any(name.startswith("wandb/") for name in there)

    log = machines[1].log("resume")

    def outage():
        while not log.is_file() or "/4] " not in log.read_text():
            time.sleep(0.1)
        store.stop()  # one more trial is to run, whose checkpoints have nowhere to go
        time.sleep(12)
        store.start()

    threading.Thread(target=outage, daemon=True).start()
    told = machines[1].run("resume", run)
    assert f"{run}: cannot be reached" in told
    assert f"{run}: reached again" in told
    assert f"next: fer-tune refit {run}" in told
    assert "Traceback" not in told

    from analysis import load_run

    trials = load_run(run).trials
    assert list(trials["status"]) == ["completed"] * TRIALS
    assert list(trials["epochs"]) == [EPOCHS] * TRIALS
    assert "the search has ended" in machines[2].run("watch", run, "--once")

    told = machines[2].run("refit", run, "--top", 1, "--seeds", 2, "--epochs", 2, "--no-published")
    assert f"next: fer-tune test {run}" in told
    weights = [name for name in objects(run) if name.startswith("refit/") and name.endswith(".safetensors")]
    assert sorted(name.rsplit("/", 2)[-1] for name in weights) == ["best.safetensors"] * 2
    assert not [name for name in objects(run) if name.startswith("refit/") and name.endswith("state.pt")]

    told = machines[3].run("test", run, "--no-tta")
    assert f"next: fer-tune report {run}" in told
    machines[0].run("report", run)
    assert "report/report.html" in objects(run)
    machines[1].run("export", run)
    assert "export/model.safetensors" in objects(run)
    assert "right: " in machines[2].run("predict", run, tmp_path / "data", "--device", "cpu")

    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "notebook"))
    opened = load_run(run)
    assert len(opened.openings) == 1
    assert opened.tests[0].images == 70
    ledger = (opened.folder.path / "test" / "ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in ledger] == ["opening", "result"]
    assert not list(opened.folder.path.rglob("*.safetensors"))
