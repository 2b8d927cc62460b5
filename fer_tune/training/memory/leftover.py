"""What trials leave behind in a process that runs one after the other."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
import traceback

from fer_tune.training.memory.process_memory import process_memory

WORN_OUT = "worn_out"
"""Key of a result: the process that reports it should run no other trial."""

_SHARE = 4  # of the memory that falls to a trial, one part in so many may be left behind

_settled: list[bool] = []  # whether what stays for good has been told to the collector
_begun: list[float] = []  # private memory when each trial of this process began, MiB


def clean_up() -> None:
    """Give back what a trial no longer needs: Python's garbage, the C library's free blocks, the GPU's cache.

    Blocks are otherwise kept for good (`allocator`), so that a large trial would look like a leak.  A trial that is
    stopped early ends by an exception that is still on its way when this is called in a ``finally``, and whose
    traceback holds the locals of the training loop: model, optimiser, captured graphs.  They are let go first.  What
    outlives the first trial of a process is taken to stay for good, as its libraries do.
    """
    import torch  # not at the top: the driver reads this module's name of a key

    _let_go(sys.exception())
    gc.collect()
    if not _settled:
        # Half a million objects of libraries, which each collection would look through again: 0.3 s of a CPU where
        # trials follow each other, and in the midst of training. From here on only what came later is looked through.
        gc.freeze()
        _settled.append(True)  # asking gc for the number of what is frozen counts it, for 0.06 s
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _let_go(error: BaseException | None) -> None:
    """Clear the locals of all functions that ``error``, and those that it came of, have ended; the lines stay told."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        error = waiting.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            traceback.clear_frames(error.__traceback__)  # it passes over those that still run
            waiting += [error.__cause__, error.__context__]


def worn_out(bound: float) -> bool:
    """Return whether the earlier trials of this process have left more than ``bound`` MiB behind; once per trial.

    What is there when the second trial begins is what a process needs: libraries, and what they keep.  Memory that is
    shared, as the pages of the dataset are, does not count.
    """
    _begun.append(process_memory("RssAnon"))
    return len(_begun) > 2 and _begun[-1] - _begun[1] > bound


def default_bound(cpus: float) -> float:
    """Return how much may be left behind in MiB: a quarter of a trial's share of this machine's memory, by its CPUs."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    return memory * min(1.0, cpus / (os.cpu_count() or 1)) / _SHARE
