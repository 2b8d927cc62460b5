"""Whether the nodes of a cluster see the run's folder is asked before a search begins."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.search.cluster import shared_folder
from fer_tune.search.cluster.shared_folder import check_shared
from fer_tune.storage.runs import new_run

NODES = [
    {"NodeID": "a", "NodeManagerAddress": "10.0.0.1", "Alive": True, "Resources": {"CPU": 4.0}},
    {"NodeID": "b", "NodeManagerAddress": "10.0.0.2", "Alive": True, "Resources": {"CPU": 4.0}},
    {"NodeID": "c", "NodeManagerAddress": "10.0.0.3", "Alive": True, "Resources": {"CPU": 4.0}},
    {"NodeID": "d", "NodeManagerAddress": "10.0.0.4", "Alive": False, "Resources": {}},
    {"NodeID": "e", "NodeManagerAddress": "10.0.0.5", "Alive": True, "Resources": {}},  # a head that trains nothing
]


@pytest.fixture
def nodes(monkeypatch):
    """A cluster as Ray tells it, whose nodes look for the folder in this process; b is blind."""
    asked = []

    def ask(others, storage, marker):
        asked.append(sorted(others))
        answers = {address: shared_folder._look(storage, marker) for address in others.values()}
        return answers | {"10.0.0.2": answers["10.0.0.2"] or "it cannot"} if "b" in asked[0] else answers

    class Context:
        def get_node_id(self) -> str:
            return "a"

    monkeypatch.setattr(shared_folder.ray, "is_initialized", lambda: True)
    monkeypatch.setattr(shared_folder.ray, "nodes", lambda: NODES)
    monkeypatch.setattr(shared_folder.ray, "get_runtime_context", Context)
    monkeypatch.setattr(shared_folder, "_ask", ask)
    return asked


def test_a_node_that_does_not_see_the_folder_is_named(nodes, tmp_path):
    said = re.escape(f"--storage {tmp_path}: 1 of the cluster's other 2 nodes (10.0.0.2) do not see this folder")
    with pytest.raises(UserError, match=said):
        check_shared(RunFolder(tmp_path / "r"))
    assert nodes == [["b", "c"]]
    assert not list(tmp_path.iterdir())


def test_one_node_is_asked_nothing(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(shared_folder.ray, "nodes", lambda: NODES[:1] + NODES[3:])
    check_shared(RunFolder(tmp_path / "r"))
    assert nodes == []


def test_a_node_that_cannot_write_to_the_store_is_named(nodes, bucket, monkeypatch):
    run = new_run(f"{bucket}/runs", "r")
    with pytest.raises(UserError, match=r"/runs/r: cannot be written from 1 of .* \(10\.0\.0\.2\): it cannot; give"):
        check_shared(run)
    monkeypatch.setattr(shared_folder, "check_writable", _refuse)
    with pytest.raises(UserError, match=r"2 of the cluster's other 2 nodes .*AccessDenied"):
        check_shared(run)


def _refuse(storage: str) -> None:
    raise OSError("AccessDenied")


PROGRAM = """
import os, sys
from pathlib import Path
import ray
from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.search.cluster.shared_folder import check_shared
address, folder = sys.argv[1:]
ray.init(address=address, log_to_driver=False)
check_shared(RunFolder(Path(folder) / "r"))
print("seen by all")
os.chdir(folder)
try:
    check_shared(RunFolder(Path("/proc/self/cwd/r")))
except UserError as error:
    print(error)
"""


@pytest.mark.slow
def test_real_nodes_are_asked(tmp_path):
    """Another process has another working folder, and so another /proc/self/cwd: as another machine would."""
    from ray.cluster_utils import Cluster

    Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray").mkdir(exist_ok=True)  # the utility takes it to be there
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        program = [sys.executable, "-c", PROGRAM, cluster.address, str(tmp_path)]
        printed = subprocess.run(program, capture_output=True, text=True, timeout=300, check=True).stdout
    finally:
        cluster.shutdown()
    assert printed.startswith("seen by all\n")
    assert "1 of the cluster's other 1 nodes" in printed
    assert not list(tmp_path.iterdir())
