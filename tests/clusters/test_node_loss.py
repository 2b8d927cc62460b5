"""A node that is killed in the middle of a search: its trial goes on elsewhere, and none is lost.

The search is a program that joins them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from drawing import tiny_dataset
from programs import FER_TUNE, started
from several_nodes import cluster_of

from fer_tune.filing.tables import read_table

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 4, 30


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without CPUs, as the cloud files have it, and two nodes with one each."""
    with cluster_of(0, 1, 1) as cluster:
        yield cluster


def last_epochs(run: Path) -> dict[str, int]:
    """Trial id -> the last epoch on record; one that a trial reports again takes back those after it."""
    file = run / "epochs.parquet"
    found: dict[str, int] = {}
    for row in read_table(file, columns=["trial_id", "epoch"]).to_pylist() if file.exists() else []:
        found[row["trial_id"]] = max(found.get(row["trial_id"], 0), row["epoch"])
    return found


def test_a_killed_node_loses_no_trial(cluster: Any, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", n_train=2100, n_val=140, n_test=14)
    run, log = tmp_path / "runs" / "r", tmp_path / "log"
    command = [
        *(*FER_TUNE, "search", "--data", tmp_path / "data", "--backbone", "cnn_simpler"),
        *("--trials", TRIALS, "--epochs", EPOCHS, "--cpus-per-trial", 1),
        *("--scheduler", "none", "--no-published", "--wandb", "disabled"),
        *("--storage", run.parent, "--name", run.name),
    ]
    with started(command, log, {"RAY_ADDRESS": cluster.address}) as search:
        deadline = time.monotonic() + 300
        while sum(epoch >= 8 for epoch in last_epochs(run).values()) < 2:  # a trial on each node, well under way
            assert search.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        before = last_epochs(run)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)  # kill -9
        cluster.add_node(num_cpus=1)  # and a new one joins
        while search.poll() is None:
            for trial, epoch in last_epochs(run).items():
                assert epoch >= before.get(trial, 0) - 1, f"{trial} began anew"
            assert time.monotonic() < deadline + 400, log.read_text()
            time.sleep(0.2)
    assert search.returncode == 0, log.read_text()
    rows = pq.read_table(run / "trials.parquet").to_pylist()
    assert Counter(row["status"] for row in rows) == {"completed": TRIALS}, log.read_text()
    assert last_epochs(run) == {row["trial_id"]: EPOCHS for row in rows}
    assert all(row["epochs"] == EPOCHS for row in rows)
