"""What the operating system says of this process's memory."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Literal


def process_memory(field: Literal["RssAnon", "VmHWM"]) -> float:
    """Return a figure of proc_pid_status(5) in MiB; NaN on systems that have none.

    ``RssAnon`` is the resident memory that is shared with no other process and no file, ``VmHWM`` the highest resident
    memory.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{field}:"):
                return float(line.split()[1]) / 1024
    return math.nan
