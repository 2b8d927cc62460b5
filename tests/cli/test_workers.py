"""Trials of several workers: a Ray Train worker group each, on a Ray of their own with the dashboard on."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from drawing import tiny_dataset
from programs import FER_TUNE, started


@pytest.mark.slow
def test_two_workers_train_each_trial(tmp_path):
    tiny_dataset(tmp_path / "data")
    program = [
        *(*FER_TUNE, "search", "--data", tmp_path / "data", "--backbone", "cnn_simpler"),
        *("--trials", 2, "--epochs", 2, "--workers-per-trial", 2),
        *("--storage", tmp_path / "runs", "--name", "r", "--wandb", "disabled"),
    ]
    with started(program, tmp_path / "log") as process:
        code = process.wait(400)
    assert code == 0, (tmp_path / "log").read_text()
    rows = pq.read_table(tmp_path / "runs" / "r" / "trials.parquet").to_pylist()
    assert [(row["status"], row["epochs"]) for row in rows] == [("completed", 2)] * 2
    for row in rows:
        assert list((tmp_path / "runs" / "r" / "tune" / row["trial_id"]).rglob("best.safetensors"))
