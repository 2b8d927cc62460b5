"""A search and its refits on a cluster of unlike nodes: they train on those with the label asked for, and no others.

The programs join a cluster that has no such node at first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from drawing import tiny_dataset
from programs import FER_TUNE, started
from several_nodes import cluster_of

pytestmark = pytest.mark.slow

TRAINING = {"search": "ray::ImplicitFunc", "refit": "ray::remote", "group": "ray::RayTrainWorker"}


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A head with two CPUs, and a slow node with two."""
    with cluster_of(2, dashboard=request.param) as cluster:
        cluster.add_node(num_cpus=2, labels={"kind": "slow"})
        yield cluster


def trains(node: Any, kind: str) -> bool:
    """Whether a process below the node's raylet trains now."""
    import psutil  # which Ray brings along

    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    names = []
    for process in raylet.children(recursive=True):
        try:
            names.append(process.cmdline()[0])
        except (psutil.Error, IndexError):  # it has just ended
            continue
    return any(name.startswith(TRAINING[kind]) for name in names)


def run(cluster: Any, kind: str, log: Path, *command: Any, fast: Any = None) -> Any:
    """Run a command to its end; return the fast node, added when the command says that it waits for one."""
    with started([*FER_TUNE, *command], log, {"RAY_ADDRESS": cluster.address}) as program:
        deadline, seen = time.monotonic() + 400, False
        while (code := program.poll()) is None:
            assert time.monotonic() < deadline, log.read_text()
            if fast is None and "waiting for nodes" in log.read_text():
                assert "with kind=in(fast,big) now" in log.read_text()
                time.sleep(5)
                fast = cluster.add_node(num_cpus=2, labels={"kind": "fast"})
            seen = seen or (fast is not None and trains(fast, kind))
            assert not any(trains(node, kind) for node in cluster.list_all_nodes() if node is not fast)
            time.sleep(0.2)
    assert code == 0, log.read_text()
    assert seen
    return fast


@pytest.mark.parametrize("cluster", [False], indirect=True)
def test_trials_and_refits_run_where_the_label_is(cluster: Any, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", n_train=140, n_val=70, n_test=14)
    folder = tmp_path / "runs" / "r"
    search = ["search", "--data", tmp_path / "data", "--backbone", "cnn_simpler", "--trials", 3, "--epochs", 20]
    search += ["--scheduler", "none", "--no-published", "--wandb", "disabled", "--node-label", "kind=in(fast,big)"]
    fast = run(cluster, "search", tmp_path / "log", *search, "--storage", folder.parent, "--name", "r")
    rows = pq.read_table(folder / "trials.parquet").to_pylist()
    assert [(row["status"], row["epochs"]) for row in rows] == [("completed", 20)] * 3
    run(cluster, "refit", tmp_path / "log2", "refit", folder, "--top", 1, "--seeds", 2, "--epochs", 20, fast=fast)


@pytest.mark.parametrize("cluster", [True], indirect=True)
def test_the_workers_of_a_trial_run_where_the_label_is(cluster: Any, tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", n_train=140, n_val=70, n_test=14)
    search = ["search", "--data", tmp_path / "data", "--backbone", "cnn_simpler", "--trials", 1, "--epochs", 20]
    search += ["--workers-per-trial", 2, "--no-published", "--wandb", "disabled", "--node-label", "kind=in(fast,big)"]
    run(cluster, "group", tmp_path / "log", *search, "--storage", tmp_path / "runs", "--name", "r")
    [row] = pq.read_table(tmp_path / "runs" / "r" / "trials.parquet").to_pylist()
    assert (row["status"], row["epochs"]) == ("completed", 20)
