"""A node that is killed in the middle of a search: its trial goes on elsewhere, and none is lost.

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
from drawing import tiny_dataset

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 4, 30


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without CPUs, as the cloud files have it, and two nodes with one each."""
    from ray.cluster_utils import Cluster

    Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray").mkdir(exist_ok=True)  # the utility takes it to be there
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        yield cluster
    finally:
        cluster.shutdown()


def last_epochs(run: Path) -> dict[str, int]:
    """Trial id -> the last epoch on record; one that a trial reports again takes back those after it."""
    file = run / "epochs.parquet"
    found: dict[str, int] = {}
    for row in pq.read_table(file, columns=["trial_id", "epoch"]).to_pylist() if file.exists() else []:
        found[row["trial_id"]] = max(found.get(row["trial_id"], 0), row["epoch"])
    return found


def test_a_killed_node_loses_no_trial(cluster: Any, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", n_train=2100, n_val=140, n_test=14)
    run, log = tmp_path / "runs" / "r", tmp_path / "log"
    command = [
        *(sys.executable, "-c", "from fer_tune.cli.main import main; main()", "search"),
        *("--data", tmp_path / "data", "--backbone", "cnn_simpler", "--trials", TRIALS, "--epochs", EPOCHS),
        *("--cpus-per-trial", 1, "--scheduler", "none", "--no-published", "--wandb", "disabled"),
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
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(search.pid, signal.SIGKILL)
        search.wait()
    assert search.returncode == 0, log.read_text()
    rows = pq.read_table(run / "trials.parquet").to_pylist()
    assert Counter(row["status"] for row in rows) == {"completed": TRIALS}, log.read_text()
    assert last_epochs(run) == {row["trial_id"]: EPOCHS for row in rows}
    assert all(row["epochs"] == EPOCHS for row in rows)
