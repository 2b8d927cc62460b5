"""What the machine or the cluster has, and what one trial gets of it."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import ray

from fer_tune.errors import UserError

_PACKAGES = ("fer-tune", "ray", "torch", "torchvision", "timm", "optuna", "wandb", "scikit-learn", "pyarrow", "numpy")


@dataclass(frozen=True)
class Resources:
    """What one worker of a trial gets, and how many trials run side by side."""

    cpus: float
    gpus: float
    workers: int
    concurrent: int

    @classmethod
    def choose(cls, cpus: float | None, gpus: float | None, workers: int, concurrent: int | None) -> Resources:
        """Fill in what the user left open, from the resources of the connected Ray.

        With GPUs each worker gets one, and its share of the CPUs, at most 8.  Without, four trials at most run side
        by side: one thread each is the best use of few cores, and a searcher learns less from many at once.

        Raises:
            UserError: more is asked for than there is.
        """
        there = ray.cluster_resources()
        all_cpus, all_gpus = there.get("CPU", 1.0), there.get("GPU", 0.0)
        if gpus is None:
            gpus = 1.0 if all_gpus else 0.0
        if cpus is None:
            cpus = min(8.0, max(1.0, all_cpus // all_gpus)) if gpus else max(1.0, all_cpus // (4 * workers))
        for name, asked, total in (("cpus", cpus, all_cpus), ("gpus", gpus, all_gpus)):
            if asked * workers > total:
                raise UserError(
                    f"--{name}-per-trial {asked:g}: with {workers} worker(s) a trial needs {asked * workers:g}, "
                    f"but Ray has {total:g}; ask for less"
                )
        fits = int(all_cpus // (cpus * workers))
        if gpus:
            fits = min(fits, int(all_gpus / (gpus * workers) + 1e-9))
        return cls(cpus, gpus, workers, max(1, min(fits, concurrent or fits)))


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


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
