"""A run's studies open in optuna-dashboard, whose server tells how each trial ended."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from fer_tune.run_folder import RunFolder
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import from_resolved

pytest.importorskip("optuna_dashboard")


def get(address: str, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while True:
        try:
            with urlopen(address, timeout=5) as answer:
                return json.load(answer)
        except (URLError, ConnectionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    space = from_resolved({"backbone": "cnn_residual", "search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}})
    file = tmp_path / "study.journal"
    searcher = StudySearcher({"cnn_residual": space}, {}, 3, 2, 0, RunFolder(tmp_path))
    for name in ("done", "stopped", "dead"):
        searcher.suggest(name)
    ended = {"epoch": 2, "best_val_accuracy": 0.6, "finished": True}
    searcher.on_trial_complete("done", ended)
    searcher.on_trial_complete("stopped", {**ended, "epoch": 1, "finished": False})
    searcher.on_trial_complete("dead", error=True)
    return file


def test_the_dashboard_reads_the_studies_of_a_run(journal):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("optuna-dashboard")
    command = [str(program), str(journal), "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        (study,) = get(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        trials = get(f"http://127.0.0.1:{port}/api/studies/{study['study_id']}")["trials"]
    finally:
        server.terminate()
        server.wait(10)
    assert study["study_name"] == "cnn_residual"
    assert [trial["state"] for trial in trials] == ["Complete", "Pruned", "Fail"]
    assert trials[0]["values"] == [0.6]
