"""Checkpoints of a trial, written by a thread of their own while training goes on.

In the trial's folder, on whatever file system that is, lie ``best.safetensors``, written anew whenever an epoch is the
best so far, and ``state/epoch_<n>/`` for going on, written now and then: it is four times as large with AdamW.  What
training waits for is a copy of the tensors in this machine's memory.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from pyarrow import fs
from torch import nn

from fer_tune.filing.layout import BEST, RUNNING
from fer_tune.training.keeping import checkpoint

_SPARING = 10  # times what a state takes, from one to the next

AT_ONCE = checkpoint.KEPT + 1
"""States of a trial that are there at the same time, at most: the last ones that were named, and one being written."""


class BackgroundKeeper:
    """Keeps what a trial needs, see :class:`fer_tune.training.keeping.checkpoint.Keeper`.

    A fault of writing is raised by the next `keep`, in the thread that trains.

    Args:
        path: of the trial's folder, on ``filesystem``.
        filesystem: where that is.
        every: seconds between two states; with 0 a new one begins after the one before.  None waits nine times as long
            as the one before took, so that writing takes a tenth of the time at most: a small network is written after
            each epoch, and what an interrupt loses is what a state costs.
        last_word: whether nothing may happen to this process before an epoch that is reported has its best weights
            there: else they follow within the time that writing takes.
    """

    def __init__(self, path: str, filesystem: fs.FileSystem, every: float | None, *, last_word: bool = False) -> None:
        self._path, self._filesystem, self._every, self._last_word = path, filesystem, every, last_word
        self._local = isinstance(filesystem, fs.LocalFileSystem)  # a disk that this machine sees: written to at once
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fer-tune-checkpoint")
        self._best: Future[None] | None = None
        self._state: tuple[int, Future[None]] | None = None  # the epoch that is being written, or waits to be named
        self._named: list[int] = []  # epochs whose states somebody was told of, the newest last
        self._written = time.monotonic() if every else -math.inf  # when the last one began
        self._took = 0.0  # seconds of the last one

    def fetch(self, epoch: int, folder: Path) -> None:
        """Bring the state of ``epoch``, which was named before, into ``folder``, to go on from; if it is there."""
        if self._filesystem.get_file_info(self._state_path(epoch)).type == fs.FileType.Directory:
            self._bring(epoch, folder)
            self._named = [epoch]

    def _bring(self, epoch: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        fs.copy_files(self._state_path(epoch), str(folder), source_filesystem=self._filesystem)
        if (folder / BEST).is_file():  # what lies there may be of a later epoch, which is trained again
            self._put(folder / BEST, f"{self._path}/{BEST}")

    def keep(
        self,
        folder: Path,
        epoch: int,
        model: nn.Module,
        state: Callable[[], dict[str, Any]],
        best: nn.Module | None,
        classes: Sequence[str],
        finished: bool,
    ) -> None:
        """See :class:`fer_tune.training.keeping.checkpoint.Keeper`."""
        self._raise_faults()
        if best is not None:
            if self._best is not None and (self._state is None or self._state[1].done()):
                self._best.cancel()  # where it has not begun this one replaces it; a state that waits needs its own
            weights = checkpoint.on_the_cpu(best.state_dict())
            self._best = self._thread.submit(self._write_best, folder, weights, classes)
        if self._state is None and not finished and time.monotonic() - self._written >= self._pause():
            self._written = time.monotonic()
            weights, rest = checkpoint.on_the_cpu(model.state_dict()), checkpoint.on_the_cpu(state())
            self._state = epoch, self._thread.submit(self._write_state, folder, epoch, weights, rest, classes)
        if finished and self._state is not None:
            self._state[1].cancel()
        if self._best is not None and not self._best.cancelled() and (finished or self._last_word):
            self._best.result()

    def ready(self) -> int | None:
        """Return the epoch of a state that is there and was not named yet."""
        if self._state is None:
            return None
        epoch, written = self._state
        return epoch if written.done() and not written.cancelled() and written.exception() is None else None

    def name(self, epoch: int) -> None:
        """Say that whoever goes on with the trial has been told of the state of ``epoch``: older ones may go."""
        self._state = None
        self._named = [*self._named, epoch][-checkpoint.KEPT :]
        self._thread.submit(self._prune, set(self._named))

    def settle(self, folder: Path) -> None:
        """See :class:`fer_tune.training.keeping.checkpoint.Keeper`."""
        self._thread.submit(int).result()  # it does one thing after the other
        newest = self.ready() or max(self._named, default=None)
        if newest is not None:
            self._bring(newest, folder)

    def close(self) -> None:
        """Wait until all that was begun is written."""
        if self._state is not None:
            self._state[1].cancel()
        self._thread.shutdown(wait=True)

    def _pause(self) -> float:
        """Return the seconds from the begin of one state to that of the next."""
        return _SPARING * self._took if self._every is None else self._every

    def _raise_faults(self) -> None:
        for future in (self._best, self._state[1] if self._state else None):
            if future is not None and future.done() and not future.cancelled():
                future.result()

    def _write_best(self, folder: Path, weights: dict[str, torch.Tensor], classes: Sequence[str]) -> None:
        if self._local:
            checkpoint.save_best(Path(self._path), weights, classes)
        else:
            checkpoint.save_best(folder, weights, classes)
            self._put(folder / BEST, f"{self._path}/{BEST}")

    def _write_state(
        self, folder: Path, epoch: int, weights: dict[str, Any], state: dict[str, Any], classes: Sequence[str]
    ) -> None:
        target = self._state_path(epoch)
        self._filesystem.create_dir(target, recursive=True)
        if self._local:
            _linked(Path(self._path) / BEST, Path(target) / BEST)
            checkpoint.save_last(Path(target), epoch, weights, state, classes)
        else:
            checkpoint.save_last(folder, epoch, weights, state, classes)
            fs.copy_files(str(folder), target, destination_filesystem=self._filesystem)
        self._took = time.monotonic() - self._written

    def _prune(self, kept: set[int]) -> None:
        selector = fs.FileSelector(f"{self._path}/{RUNNING}", allow_not_found=True)
        for info in self._filesystem.get_file_info(selector):
            if info.type == fs.FileType.Directory and info.path.rstrip("/") not in map(self._state_path, kept):
                self._filesystem.delete_dir(info.path)

    def _state_path(self, epoch: int) -> str:
        return f"{self._path}/{RUNNING}/epoch_{epoch:04d}"

    def _put(self, source: Path, target: str) -> None:
        """Copy a file there: in one step on a disk; an object appears whole anyhow."""
        if self._local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            part = f"{target}.part"
            shutil.copyfile(source, part)
            Path(part).replace(target)
        else:
            fs.copy_files(str(source), target, destination_filesystem=self._filesystem)


def _linked(source: Path, target: Path) -> None:
    """Have ``target`` hold what ``source`` holds now; a link does, since a new file takes the place of ``source``."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        return  # no epoch was the best so far
    except OSError:  # exFAT and others have no links
        shutil.copyfile(source, target)
