"""A search on a cluster that grows and shrinks: the number of trials side by side follows the nodes.

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
import yaml
from drawing import tiny_dataset
from programs import FER_TUNE, started
from several_nodes import cluster_of

from fer_tune.filing.tables import read_table

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 4, 150


@pytest.fixture
def cluster() -> Iterator[Any]:
    """One node with one CPU."""
    with cluster_of(1) as cluster:
        yield cluster


def running(run: Path) -> dict[str, int]:
    """Trial id -> the epochs on record of a trial that runs."""
    file = run / "trials.parquet"
    rows = read_table(file, columns=["trial_id", "status", "epochs"]).to_pylist() if file.exists() else []
    return {row["trial_id"]: row["epochs"] for row in rows if row["status"] == "running"}


def test_trials_side_by_side_follow_the_nodes(cluster: Any, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", n_train=700, n_val=70, n_test=14)
    run, log = tmp_path / "runs" / "r", tmp_path / "log"
    command = [
        *(*FER_TUNE, "search", "--data", tmp_path / "data", "--backbone", "cnn_simpler"),
        *("--trials", TRIALS, "--epochs", EPOCHS, "--scheduler", "none", "--no-published", "--wandb", "disabled"),
        *("--storage", run.parent, "--name", run.name),
    ]
    with started(command, log, {"RAY_ADDRESS": cluster.address}) as search:
        deadline = time.monotonic() + 500

        def wait_for(trials: int) -> None:
            """Wait until so many trials are seen to run, an epoch each."""
            while sum(epochs > 0 for epochs in running(run).values()) < trials:
                assert search.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)

        wait_for(1)
        assert len(running(run)) == 1
        settings = yaml.safe_load((run / "search.yaml").read_text())
        assert (settings["concurrent"], settings["hardware"]["nodes"]) == (None, "1")
        second = cluster.add_node(num_cpus=1)
        wait_for(2)
        assert len(running(run)) == 2
        cluster.remove_node(second, allow_graceful=False)  # kill -9
        assert search.wait(deadline + 400 - time.monotonic()) == 0, log.read_text()
    rows = pq.read_table(run / "trials.parquet").to_pylist()
    assert Counter(row["status"] for row in rows) == {"completed": TRIALS}, log.read_text()
    assert all(row["epochs"] == EPOCHS for row in rows)
