"""What this machine's processor is: a name to tell, and what two of a kind have in common."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

# Of /proc/cpuinfo, on x86 and on ARM. Left out is what differs between the cores of one processor, or with its load.
_KIND = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
)


@functools.cache
def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Return what ``cpuinfo`` says of the kind of the first core, and what Python knows where there is no such file."""
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        first = ""
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    kind = {name: fields[name] for name in _KIND if name in fields}
    return {**kind, "architecture": platform.machine(), "known as": platform.processor()}


def processor_name(kind: dict[str, str]) -> str:
    """Return what to call a processor; hypervisors cut the marketing name short, so its family and model follow.

    >>> processor_name({"model name": "AMD EPYC", "cpu family": "25", "model": "17"})
    'AMD EPYC (family 25, model 17)'
    """
    name = kind.get("model name") or kind.get("known as") or kind.get("architecture") or "an unknown processor"
    if "cpu family" in kind and "model" in kind:
        name += f" (family {kind['cpu family']}, model {kind['model']})"
    return name


def multiplies_bf16(kind: dict[str, str]) -> bool:
    """Whether it has instructions for products of bf16, and need not compute them from float32, number by number.

    >>> multiplies_bf16({"flags": "avx2 avx512f avx512_bf16"})
    True
    >>> multiplies_bf16({"flags": "avx2 avx512f"})
    False
    """
    # x86: AVX-512's dot products and AMX, as Linux names them; ARM: FEAT_BF16.
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(f"{kind.get('flags')} {kind.get('Features')}".split())
