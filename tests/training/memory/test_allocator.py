from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from fer_tune.training.memory.allocator import allocator_environment


def test_what_the_user_has_set_is_left_alone():
    assert allocator_environment({"GLIBC_TUNABLES": "glibc.malloc.check=3"}) == {}
    assert set(allocator_environment({"PATH": "/bin"})) == {"GLIBC_TUNABLES"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_a_freed_block_is_not_fetched_from_the_kernel_again():
    program = textwrap.dedent(
        """
        import ctypes, resource
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.free.argtypes = [ctypes.c_void_p]
        def use():
            block = libc.malloc(16 << 20)
            ctypes.memset(block, 1, 16 << 20)
            libc.free(block)
        use()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(5):
            use()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        """
    )

    def faults(environment: dict[str, str]) -> int:
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        return int(run.stdout)

    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GLIBC_", "MALLOC_"))}
    assert faults({**plain, **allocator_environment(plain)}) < faults(plain) / 10
