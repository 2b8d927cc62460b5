"""How many trials share a GPU where the user does not say: as many as finish more of them, by a short trial of it.

A network of a space at its largest settings is trained for some seconds, once by itself and once in as many processes
as would share the GPU, through NVIDIA's MPS.  So what is decided by is what would happen, with the memory that each
process would have; nothing is inferred from how busy a GPU seems.  Without MPS processes take turns, and sharing gains
next to nothing (docs/benchmarks.md).  Where anything fails, each trial has a GPU to itself.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray

from fer_tune.amounts import amount
from fer_tune.config import FIELDS, TrialConfig
from fer_tune.errors import UserError
from fer_tune.models.memory import step_memory
from fer_tune.search.cluster.gpu_sharing import gpu_sharing, served
from fer_tune.search.cluster.ray_address import named_cluster
from fer_tune.search.planning.plan import Plan
from fer_tune.training.probing.packing import Asked, Taken

MOST = 4
"""Trials on a GPU at most: as many as on a machine without one, for a sampler learns less from many at once."""

GAIN = 1.2  # times the images a second of one trial: a trial by itself ends sooner, which ASHA learns from sooner
_HEAD_ROOM = 1.25  # times the memory that was seen: what fragments, and settings that were not tried
_SECONDS = 3.0  # of training that is timed
_MOST_SECONDS = 120.0  # for the processes to start, capture and end; it is a few on an idle machine
_WORTH = 900.0  # seconds of a time budget, of which measuring would take a fifteenth
_FEW = 3_000_000  # images that a search trains on in all: a minute of a small network on an H200, as long as measuring


@dataclass(frozen=True)
class Sharing:
    """What part of a GPU a trial gets, and why.

    Attributes:
        gpus: a part of one, or 1; None where others say it, such as the user, or there is no GPU here.
        gain: times the images a second of one trial that all on a GPU train together.
        told: why, in words; empty where nothing was asked.
    """

    gpus: float | None = None
    gain: float = 1.0
    told: str = ""


NOT_ASKED = Sharing()


def chosen_sharing(plan: Plan) -> Sharing:
    """Return how trials share the GPUs of this machine.

    Nothing is measured where the user says it, on a cluster, whose nodes may be others, for trials of several workers,
    or without a GPU.
    """
    options = plan.options
    if options.gpus_per_trial is not None or options.workers_per_trial > 1 or options.node_labels:
        return NOT_ASKED
    if named_cluster() or ray.is_initialized():
        return NOT_ASKED
    gpus = _gpus()
    if not gpus:
        return NOT_ASKED
    images = sum(plan.trials.values()) * options.epochs * plan.data.card.images("train")
    if images < _FEW or (options.time_budget_seconds or math.inf) < _WORTH:
        return Sharing(1.0, told="one: the search is too short to measure whether several pay")
    try:
        return _measured(plan, gpus)
    except _NotShared as error:
        return Sharing(1.0, told=f"one: {error}")
    except (OSError, ValueError, LookupError) as error:
        return Sharing(1.0, told=f"one: it could not be measured ({type(error).__name__}: {error})")


class _NotShared(Exception):  # noqa: N818  # nothing is wrong
    """Why each trial has a GPU to itself."""


def _measured(plan: Plan, gpus: int) -> Sharing:
    options = plan.options
    trials = sum(plan.trials.values())
    bounds = {
        "": MOST,
        "the cores": len(os.sched_getaffinity(0)) // gpus,
        "the trials": math.ceil(trials / gpus),
    }
    if options.concurrent is not None:
        bounds["--concurrent"] = math.ceil(options.concurrent / gpus)
    count = min(bounds.values())
    if count < 2:
        raise _NotShared(
            f"{min(bounds, key=lambda name: bounds[name])} suffice for no more on each of {amount(gpus, 'GPU')}"
        )
    config = largest(plan)
    with gpu_sharing(1 / count, quiet=True) as environment:
        if not environment and not served():
            raise _NotShared("NVIDIA's MPS cannot be started here, and without it trials that share one take turns")
        (alone,) = _run(config, plan, 1, environment)
        fits = int(alone.total / (alone.beside + _HEAD_ROOM * alone.held))
        count = min(count, fits)
        what = f"{config.backbone} at batch {config.batch_size}, {config.image_size or plan.data.card.height} px"
        needed = f"{what}, takes {alone.held / 2**30:.1f} of {alone.total / 2**30:.0f} GiB"
        if count < 2:
            raise _NotShared(f"the largest network, {needed}")
        together = _run(config, plan, count, environment)
    gain = sum(one.images_per_second for one in together) / alone.images_per_second
    measured = f"{count} of them train {gain:.2f} times the images a second of one, measured with {needed}"
    if gain < GAIN:
        raise _NotShared(f"{measured}, and {GAIN} times would pay")
    return Sharing(1 / count, gain, f"{count} trials share one: {measured}")


def largest(plan: Plan) -> TrialConfig:
    """Return the settings of the trial that takes the most memory, by what is known before."""
    found = [config for config in _candidates(plan) if _memory(config, plan) is not None]
    if not found:
        raise _NotShared("the memory of no network is known before")
    return max(found, key=lambda config: _memory(config, plan) or 0)


def _candidates(plan: Plan) -> Iterator[TrialConfig]:
    """Yield each space at the largest end of what takes memory, and what is tried first."""
    for backbone, space in plan.spaces.items():
        ends: dict[str, Any] = {}
        for name, parameter in space.parameters.items():
            sized = [value for value in parameter.values if value is not None]
            if name in ("batch_size", "image_size", "ema_decay", "sam_rho"):
                ends[name] = max(sized)
            elif name == "freeze_depth":
                ends[name] = min(sized)
        first = [
            space.settings(entry.config)
            for entry in (*plan.published.get(backbone, ()), *plan.warm_start.get(backbone, ()))
        ]
        for settings in ({**space.fixed, **ends}, *first):
            known = {name: value for name, value in settings.items() if name in FIELDS}
            known |= {"backbone": backbone, "epochs": plan.options.epochs, "pretrained": False, "weights": None}
            yield TrialConfig(**known)


def _memory(config: TrialConfig, plan: Plan) -> int | None:
    """Return the bytes of a step, or None where the network does not take such images."""
    try:
        return step_memory(config.backbone, config.image_size or plan.data.card.height).of_batch(config.batch_size)
    except UserError:
        return None


def _run(config: TrialConfig, plan: Plan, count: int, environment: Mapping[str, str]) -> list[Taken]:
    """Train in ``count`` processes at the same time, each with its share of the memory of the first GPU."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    more = {**os.environ, **environment, "CUDA_VISIBLE_DEVICES": seen}
    with tempfile.TemporaryDirectory(prefix="fer-tune-") as folder:
        gate = Path(folder) / "gate"
        asked = Asked(config.model_dump(), str(plan.data.path), 1 / count, _SECONDS, str(gate))
        command = [sys.executable, "-m", "fer_tune.training.probing.packing", json.dumps(asdict(asked))]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen(command, env=more, **pipes) for _ in range(count)]
        try:
            until = time.monotonic() + _MOST_SECONDS
            while len(list(Path(folder).glob("gate.*"))) < count:
                if time.monotonic() > until or any(process.poll() for process in processes):
                    break  # it is told below by whoever has ended
                time.sleep(0.02)
            gate.touch()
            return [_told(process, until - time.monotonic(), count) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _told(process: subprocess.Popen[str], seconds: float, count: int) -> Taken:
    try:
        out, err = process.communicate(timeout=max(1.0, seconds))
    except subprocess.TimeoutExpired:
        raise _NotShared(f"training in {amount(count, 'process', 'processes')} to measure it took too long") from None
    if process.returncode:
        last = (err.strip().splitlines() or [f"code {process.returncode}"])[-1][:200]
        raise _NotShared(f"training in {amount(count, 'process', 'processes')} to measure it failed ({last})")
    return Taken(**json.loads(out.splitlines()[-1]))


def _gpus() -> int:
    """Return the GPUs of this machine that CUDA sees; no context is made on them."""
    import torch

    return torch.cuda.device_count()
