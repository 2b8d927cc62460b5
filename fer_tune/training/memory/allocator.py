"""How a process that trains on a CPU should get its memory from the C library (glibc).

PyTorch asks glibc for every activation anew.  By default glibc maps each large block freshly from the kernel and
gives it back at once, so each step pays for thousands of page faults.  Kept blocks and 2 MiB pages cut that:
`tests/benchmarks/trainer.py` measures by how much.  Other C libraries ignore the variable.

Source: The GNU C Library manual, "Memory Allocation Tunables"; 32 MiB is the largest threshold that it accepts.
"""

from __future__ import annotations

from collections.abc import Mapping

_TUNABLES = (
    "glibc.malloc.hugetlb=1:"  # ask for transparent huge pages
    "glibc.malloc.mmap_threshold=33554432:"  # blocks up to 32 MiB come from the heap,
    "glibc.malloc.trim_threshold=1099511627776"  # which is not given back between steps
)


def allocator_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables a training process is to be started with; none if the user has set ``GLIBC_TUNABLES``.

    They act at the start of a process only: setting them in ``os.environ`` changes nothing for the one that runs.
    """
    return {} if "GLIBC_TUNABLES" in environment else {"GLIBC_TUNABLES": _TUNABLES}
