"""Wait until a cluster has what a search is to run on, then run it.

A search uses the nodes of a cluster as they come, but one whose trials have several workers counts them once, when it
starts, and whether a trial takes a GPU is chosen then too.  On a cluster that grows from zero, or whose nodes are still
joining, this stands before it in the same job::

    python -m clusters.wait_for --gpus 8 -- fer-tune search --data ... --storage /shared/runs --name first

The GPUs are asked of Ray's autoscaler, where there is one, and the request is withdrawn before the command starts.
From then on the search's own trials keep the nodes, and a node without trials goes after the cluster's idle timeout:
nothing that dies here leaves machines behind that cost money.  With ``--node-label``, as the search's own, other nodes
do not count.

With ``--or-resume /shared/runs/first`` a job that its platform starts anew goes on with the search instead of beginning
another.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import ray
from ray.autoscaler.sdk import request_resources

from fer_tune.errors import UserError
from fer_tune.search.cluster.node_labels import matches, parse_labels
from fer_tune.search.cluster.node_labels import told as in_words

_EVERY = 5.0  # seconds between two looks


def wait_for(gpus: int, nodes: int, timeout: float, labels: Mapping[str, str]) -> bool:
    """Ask for ``gpus`` and wait, at most ``timeout`` seconds, until they and ``nodes`` living nodes are there.

    Nodes without ``labels`` do not count.  Ray must be connected.  Returns whether they came; a request for GPUs is
    withdrawn in either case.
    """
    if gpus:
        request_resources(bundles=[{"GPU": 1}] * gpus, bundle_label_selectors=[dict(labels)] * gpus)
    began, seen = time.monotonic(), ""
    of_which = f" with {in_words(labels)}" if labels else ""
    try:
        while True:
            living = [node for node in ray.nodes() if node["Alive"] and matches(node.get("Labels") or {}, labels)]
            there, alive = int(sum(node["Resources"].get("GPU", 0) for node in living)), len(living)
            told = f"{alive} nodes{of_which} ({nodes} wanted), {there} GPUs ({gpus} wanted)"
            if told != seen:
                print(told, flush=True)
                seen = told
            if there >= gpus and alive >= nodes:
                return True
            if time.monotonic() - began >= timeout:
                return False
            time.sleep(_EVERY)
    finally:
        if gpus:
            request_resources(bundles=[])


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 when everything came, 1 when the time ran out; a command takes this process's place."""
    parser = argparse.ArgumentParser(prog="python -m clusters.wait_for", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gpus", type=int, default=0, help="GPUs of the whole cluster")
    parser.add_argument("--nodes", type=int, default=1, help="living nodes, with the head")
    parser.add_argument(
        "--node-label", action="append", default=[], metavar="KEY=VALUE", help="count nodes with this Ray label alone"
    )
    parser.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS")
    parser.add_argument("--or-resume", type=Path, metavar="RUN", help="resume this run folder where it holds a search")
    parser.add_argument("command", nargs="*", help="what to run then, after --")
    asked = parser.parse_args(arguments)
    if asked.gpus < 0 or asked.nodes < 1:
        parser.error("--gpus takes 0 or more, --nodes 1 or more")
    if asked.or_resume and not asked.command:
        parser.error("--or-resume goes with the command that starts the search, after --")
    try:
        labels = parse_labels(asked.node_label)
    except UserError as error:
        parser.error(str(error))
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    try:
        came = wait_for(asked.gpus, asked.nodes, asked.timeout, labels)
    finally:
        ray.shutdown()
    if not came:
        print(
            f"not there after {asked.timeout:g} s; `ray status` says what the cluster waits for, such as a quota or "
            "spot capacity",
            file=sys.stderr,
        )
        return 1
    command: list[str] = asked.command
    if asked.or_resume and (asked.or_resume / "search.yaml").is_file():
        command = ["fer-tune", "resume", str(asked.or_resume)]
    if command:
        sys.stdout.flush()
        os.execvp(command[0], command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
