"""What was measured of a network on this machine, kept in the cache folder: a trial that is repeated takes the same.

One JSON file for each network and kind of machine, below ``plans`` in `remote.cache_folder`.  Processes of a machine
wait for the one that measures, so that they do not disturb it.  Delete the folder to measure anew, such as after a
measurement on a machine that was busy.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from filelock import FileLock
from torch import nn

from fer_tune.data.prepared.remote import cache_folder
from fer_tune.training.computing.convolutions import other_ways
from fer_tune.training.computing.measuring import Candidate, Workload, measure
from fer_tune.training.processor import processor, processor_name

_FORMAT = 2  # to be raised when what is measured changes

Measure = Callable[[nn.Module, Workload, int], list[Candidate]]


@dataclass(frozen=True)
class Measured:
    """The ways that were timed, plain float32 first, and on what processor."""

    candidates: list[Candidate]
    processor: str


def machine() -> str:
    """Return what stands for all that a measurement depends on beside the network, the same on machines of a kind."""
    return _digest(_machine(torch.get_num_threads()))


def measured(model: nn.Module, load: Workload, steps: int, measure: Measure = measure) -> Measured:
    """Return what was measured for ``load`` on such a machine, or measure it now.

    Where the cache folder cannot be written, it is measured and not kept.

    Args:
        model: as it was built; only a copy of it is trained.
        load: what it is trained on.
        steps: of the run, see `fer_tune.training.computing.measuring.measure`.
        measure: what measures; tests have one of their own.
    """
    own = _machine(torch.get_num_threads())
    key = {"format": _FORMAT, "machine": own, "network": asdict(load)}
    name = processor_name(own["processor"])
    file = cache_folder() / "plans" / f"{load.backbone.replace('/', '_')}-{_digest(key)}.json"
    if (found := _read(file, model)) is not None:
        return Measured(found, name)
    with _alone(file.parent):
        if (found := _read(file, model)) is None:  # else another process has just measured it
            found = measure(model, load, steps)
            _write(file, {**key, "candidates": [asdict(one) for one in found]})
    return Measured(found, name)


@functools.cache
def _machine(threads: int) -> dict[str, Any]:
    return {"processor": processor(), "torch": torch.__version__, "timm": timm.__version__, "threads": threads}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold this machine's lock, of which there is one for all networks; go on without it where there can be none."""
    lock = FileLock(folder / f".{platform.node()}.lock")  # let go of by the system too, when a process dies
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):  # no place to write, or a file system without locks
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _read(file: Path, model: nn.Module) -> list[Candidate] | None:
    """Return what is kept, or None where nothing is, or it is damaged or of another network of that name."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))["candidates"]
        found = [Candidate(one["precision"], tuple(one["otherwise"]), float(one["seconds"])) for one in kept]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = other_ways(model).keys()
    return found if found and all(known >= set(one.otherwise) for one in found) else None


def _write(file: Path, content: dict[str, Any]) -> None:
    """Write in one step, for readers beside; or not at all, where the folder cannot be written."""
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, file)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
