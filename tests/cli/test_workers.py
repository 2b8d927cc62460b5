"""Trials of several workers: a Ray Train worker group each, on a Ray of their own with the dashboard on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from drawing import tiny_dataset


@pytest.mark.slow
def test_two_workers_train_each_trial(tmp_path):
    tiny_dataset(tmp_path / "data")
    program = [
        *(sys.executable, "-c", "from fer_tune.cli.main import main; main()", "search", "--data", tmp_path / "data"),
        *("--backbone", "cnn_simpler", "--trials", "2", "--epochs", "2", "--workers-per-trial", "2"),
        *("--storage", tmp_path / "runs", "--name", "r", "--wandb", "disabled"),
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in program], stdout=log, stderr=log, start_new_session=True)
        try:
            code = process.wait(400)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert code == 0, (tmp_path / "log").read_text()
    rows = pq.read_table(tmp_path / "runs" / "r" / "trials.parquet").to_pylist()
    assert [(row["status"], row["epochs"]) for row in rows] == [("completed", 2)] * 2
    for row in rows:
        assert list((tmp_path / "runs" / "r" / "tune" / row["trial_id"]).rglob("best.safetensors"))
