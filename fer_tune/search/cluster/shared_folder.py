"""Whether all nodes of a Ray cluster see the run's folder or store: asked before any compute is spent."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.search.cluster.hardware import NO_LABELS, living
from fer_tune.storage.runs import check_writable

_PATIENCE = 90.0  # seconds for a node's answer: it may have to start a process and import pyarrow first


def check_shared(run: RunFolder, labels: Mapping[str, str] = NO_LABELS) -> None:
    """Ask each other node that can train whether it sees where ``run`` is; on one node or without Ray, ask nobody.

    A node that does not answer in time is taken to see it: trials there would tell.

    Args:
        run: made or not yet made.
        labels: of the nodes that can train, see :mod:`fer_tune.search.cluster.node_labels`.

    Raises:
        UserError: nodes that do not, with their addresses and what to do.
    """
    if not ray.is_initialized():
        return
    own = ray.get_runtime_context().get_node_id()
    others = {
        node["NodeID"]: node["NodeManagerAddress"]
        for node in living(labels)
        if node["NodeID"] != own and node["Resources"].get("CPU", 0) > 0
    }
    if not others:
        return
    if run.uri:
        answers = _ask(others, run.uri, "")
    else:
        there = next(path for path in (run.path, *run.path.parents) if path.is_dir())
        marker = there / f".seen-by-all-{uuid.uuid4().hex}"
        marker.touch()
        try:
            answers = _ask(others, "", str(marker))
        finally:
            marker.unlink()
    blind = {address: why for address, why in answers.items() if why}
    if not blind:
        return
    nodes = ", ".join(sorted(blind))
    if run.uri:
        raise UserError(
            f"{run.uri}: cannot be written from {len(blind)} of the cluster's other {len(others)} nodes ({nodes}): "
            f"{next(iter(blind.values()))}; give those nodes the credentials and the address too"
        )
    raise UserError(
        f"--storage {run.path.parent}: {len(blind)} of the cluster's other {len(others)} nodes ({nodes}) do not see "
        "this folder, so their trials could save nothing; name a folder that all nodes mount at this path, or a URI "
        "such as s3://bucket/runs"
    )


def _ask(nodes: dict[str, str], storage: str, marker: str) -> dict[str, str]:
    """Return, by address, why a node does not see it; an empty string where it does."""
    asked = {}
    for node, address in nodes.items():
        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        look = ray.remote(_look).options(num_cpus=0, max_retries=0, scheduling_strategy=strategy)
        asked[look.remote(storage, marker)] = address
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE)
    for reference in late:
        ray.cancel(reference, force=True)
    answers = {}
    for reference in done:
        with contextlib.suppress(ray.exceptions.RayError):  # the node went away
            answers[asked[reference]] = ray.get(reference)
    return answers


def _look(storage: str, marker: str) -> str:
    """Run on a node: return why it does not see the folder or the store, or an empty string."""
    if marker:
        return "" if Path(marker).is_file() else "the folder is not there"
    try:
        check_writable(storage)
    except (OSError, UserError) as error:
        return " ".join(str(error).split())[:300]
    return ""
