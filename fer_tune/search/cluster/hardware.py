"""What the machine or the cluster has, and what one trial gets of it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

import ray

from fer_tune.amounts import amount
from fer_tune.errors import UserError
from fer_tune.ray_internals import unused_by_node
from fer_tune.search.cluster.node_labels import ACCELERATOR, matches, told
from fer_tune.version import commit

NO_LABELS: Mapping[str, str] = MappingProxyType({})

_PACKAGES = ("fer-tune", "ray", "torch", "torchvision", "timm", "optuna", "wandb", "scikit-learn", "pyarrow", "numpy")


@dataclass(frozen=True)
class Resources:
    """What one worker of a trial gets, and how many trials run side by side."""

    cpus: float
    gpus: float
    workers: int
    concurrent: int | None  # None: as many as fit, from moment to moment
    fits: int = 1  # trials for which there is room now; 0 where a cluster has yet to grow

    @property
    def at_once(self) -> int:
        """Trials side by side as Ray is now; one where it has yet to grow."""
        return self.concurrent or max(1, self.fits)

    @classmethod
    def choose(
        cls,
        cpus: float | None,
        gpus: float | None,
        workers: int,
        concurrent: int | None,
        *,
        joined: bool = False,
        labels: Mapping[str, str] = NO_LABELS,
    ) -> Resources:
        """Fill in what the user left open, from the resources of the connected Ray.

        With GPUs, or where a type of them is asked for, each worker gets one, and its share of the CPUs, at most 8.
        Without, four trials at most run side by side on a machine: one thread each is the best use of few cores, and
        a searcher learns less from many at once.

        A cluster that was joined may grow and shrink.  There the number of trials side by side is left open, unless
        the user gives it or a trial has several workers, whose places Tune does not count; and nothing is refused for
        its size, see :func:`lacking`.

        Args:
            cpus: of one worker.
            gpus: of one worker.
            workers: of one trial.
            concurrent: trials side by side.
            joined: whether Ray is a cluster that was there before.
            labels: of the nodes that trials may use, see :mod:`fer_tune.search.cluster.node_labels`.

        Raises:
            UserError: more is asked for than there is, where that will not change.
        """
        there = nodes(labels)
        if gpus is None:
            gpus = 1.0 if _total(there, "GPU") or ACCELERATOR in labels else 0.0
        if cpus is None:
            cpus = _share(there, gpus, workers)
        if not joined:
            check_size(cpus, gpus, workers, labels)
        fits = places(there, cpus, gpus) // workers
        if joined:
            at_once = concurrent if concurrent or workers == 1 else max(1, fits)
        else:
            at_once = max(1, min(fits, concurrent or fits))
        return cls(cpus, gpus, workers, at_once, fits)


def nodes(labels: Mapping[str, str] = NO_LABELS) -> list[dict[str, float]]:
    """Return what each node that is alive and has these labels has, in use or not: resource -> how much."""
    return [dict(node["Resources"]) for node in living(labels)]


def living(labels: Mapping[str, str] = NO_LABELS) -> list[dict[str, Any]]:
    """Return the nodes that are alive and have these labels, as ``ray.nodes`` tells them."""
    return [node for node in ray.nodes() if node["Alive"] and matches(node.get("Labels", {}), labels)]


def fitting(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Return how many workers with so many CPUs and GPUs the resources are enough for.

    >>> fitting({"CPU": 10.0, "GPU": 1.0}, cpus=2, gpus=0.25)
    4
    """
    fits = int(resources.get("CPU", 0.0) / cpus + 1e-9)
    return min(fits, int(resources.get("GPU", 0.0) / gpus + 1e-9)) if gpus else fits


def places(there: Iterable[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """Return how many workers fit on the nodes; one takes all it needs from one node."""
    return sum(fitting(node, cpus, gpus) for node in there)


def unused_places(cpus: float, gpus: float, labels: Mapping[str, str] = NO_LABELS) -> int:
    """Return how many workers fit on what nobody uses now, or a little earlier."""
    if not labels:
        return fitting(ray.available_resources(), cpus, gpus)
    free = unused_by_node()
    return places((free.get(node["NodeID"], {}) for node in living(labels)), cpus, gpus)


def check_size(cpus: float, gpus: float, workers: int, labels: Mapping[str, str] = NO_LABELS) -> None:
    """Refuse a trial that is larger than the connected Ray, or than its nodes with ``labels``.

    Raises:
        UserError: with what it needs and what there is.
    """
    there = nodes(labels)
    if labels and not there:
        known = "; ".join(told(node.get("Labels", {})) or "none" for node in living())
        raise UserError(f"--node-label {told(labels)}: Ray has no such node; its nodes' labels: {known}")
    for name, asked in (("cpus", cpus), ("gpus", gpus)):
        total = _total(there, name[:-1].upper())
        if asked * workers > total:
            raise UserError(
                f"--{name}-per-trial {asked:g}: with {amount(workers, 'worker')} a trial needs {asked * workers:g}, "
                f"but Ray has {total:g}; ask for less"
            )


def lacking(cpus: float, gpus: float, workers: int, labels: Mapping[str, str] = NO_LABELS) -> str:
    """Return what a trial waits for, in words, or an empty string where it fits on the connected Ray as it is."""
    there = nodes(labels)
    if places(there, cpus, gpus) >= workers:
        return ""
    worker = amount(cpus, "CPU") + (f" and {amount(gpus, 'GPU')}" if gpus else "")
    needed = f"{worker} on one node" if workers == 1 else f"{workers} times {worker}, each on one node"
    kind = f" with {told(labels)}" if labels else ""
    found = f"{amount(_total(there, 'CPU'), 'CPU')} and {amount(_total(there, 'GPU'), 'GPU')}"
    return f"a trial needs {needed}, and Ray has {found} on {amount(len(there), 'node')}{kind} now"


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, and the commit of a checkout of fer-tune."""
    own = {"commit": known} if (known := commit()) else {}
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}, **own}


def describe() -> dict[str, str]:
    """The hardware of this machine and of the connected Ray, in words."""
    there: dict[str, Any] = ray.cluster_resources()
    kinds = sorted(key.removeprefix("accelerator_type:") for key in there if key.startswith("accelerator_type:"))
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": f"{there.get('CPU', 0):g}",
        "gpus": f"{there.get('GPU', 0):g} {' '.join(kinds)}".strip(),
        "nodes": str(sum(node["Alive"] for node in ray.nodes())),
        "memory_gib": f"{there.get('memory', 0) / 2**30:.0f}",
    }


def _total(there: Iterable[Mapping[str, float]], kind: str) -> float:
    return sum(node.get(kind, 0.0) for node in there)


def _share(there: list[dict[str, float]], gpus: float, workers: int) -> float:
    """Return the CPUs of a worker, such that it finds a place on the smallest node of its kind."""
    if gpus:
        shares = [node.get("CPU", 0.0) / node["GPU"] * gpus for node in there if node.get("GPU")]
        return float(min([8, *(max(1, int(share)) for share in shares)])) if shares else 1.0
    of_nodes = [node["CPU"] for node in there if node.get("CPU")]
    return float(max(1, min(of_nodes) // (4 * workers))) if of_nodes else 1.0
