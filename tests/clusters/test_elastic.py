"""A search on a cluster that grows and shrinks: the number of trials side by side follows the nodes.

Several nodes on one machine, by Ray's cluster utility; the search is a program that joins them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from drawing import tiny_dataset

from fer_tune.tables import read_table

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 4, 150


@pytest.fixture
def cluster() -> Iterator[Any]:
    """One node with one CPU."""
    from ray.cluster_utils import Cluster

    Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray").mkdir(exist_ok=True)  # the utility takes it to be there
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def running(run: Path) -> dict[str, int]:
    """Trial id -> the epochs on record of a trial that runs."""
    file = run / "trials.parquet"
    rows = read_table(file, columns=["trial_id", "status", "epochs"]).to_pylist() if file.exists() else []
    return {row["trial_id"]: row["epochs"] for row in rows if row["status"] == "running"}


def test_trials_side_by_side_follow_the_nodes(cluster: Any, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", n_train=700, n_val=70, n_test=14)
    run, log = tmp_path / "runs" / "r", tmp_path / "log"
    command = [
        *(sys.executable, "-c", "from fer_tune.cli.main import main; main()", "search"),
        *("--data", tmp_path / "data", "--backbone", "cnn_simpler", "--trials", TRIALS, "--epochs", EPOCHS),
        *("--scheduler", "none", "--no-published", "--wandb", "disabled"),
        *("--storage", run.parent, "--name", run.name),
    ]
    with log.open("wb") as out:
        search = subprocess.Popen(
            [str(word) for word in command],
            stdout=out,
            stderr=out,
            env={**os.environ, "RAY_ADDRESS": cluster.address},
            start_new_session=True,
        )
    try:
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
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(search.pid, signal.SIGKILL)
        search.wait()
    rows = pq.read_table(run / "trials.parquet").to_pylist()
    assert Counter(row["status"] for row in rows) == {"completed": TRIALS}, log.read_text()
    assert all(row["epochs"] == EPOCHS for row in rows)
