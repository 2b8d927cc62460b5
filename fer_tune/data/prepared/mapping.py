"""Files as memory: mapped, which costs nothing and is shared, or read where the file system cannot map.

Some that a program serves (FUSE, as of a cloud drive or of WSL) refuse mapping, with "No such device".
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

_told: set[Path] = set()  # folders


def as_memory(file: Path) -> pa.NativeFile:
    """Return ``file`` opened such that its buffers are its mapped pages, or a copy of them in this process.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return pa.memory_map(str(file))
    except OSError:
        content = file.read_bytes()  # raises what is wrong, if it is not the mapping
        _tell(file.parent)
        return pa.BufferReader(content)


def addresses_of(file: Path) -> pa.Buffer:
    """Return a buffer of the length of ``file`` for whoever uses its address alone; nothing of the file is read."""
    try:
        with pa.memory_map(str(file)) as mapped:
            return mapped.read_buffer()
    except OSError:
        return pa.py_buffer(np.empty(file.stat().st_size, np.uint8))  # memory that nobody touches takes no room


def _tell(folder: Path) -> None:
    if folder not in _told:
        _told.add(folder)
        print(
            f"{folder}: its file system cannot map files into memory, so each trial reads a copy of its own: copy the "
            "dataset to a local disk to spare that",
            file=sys.stderr,
        )
