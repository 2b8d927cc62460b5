"""A Ray cluster of several nodes on one machine, by Ray's cluster utility."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def cluster_of(head_cpus: int, *workers: int, dashboard: bool = False) -> Iterator[Any]:
    """Start a head with so many CPUs, and a node with so many for each of ``workers``."""
    from ray.cluster_utils import Cluster

    Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray").mkdir(exist_ok=True)  # the utility takes it to be there
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": head_cpus, "include_dashboard": dashboard})
    try:
        for cpus in workers:
            cluster.add_node(num_cpus=cpus)
        yield cluster
    finally:
        cluster.shutdown()
