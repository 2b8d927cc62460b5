"""Trials of several processes on one GPU at the same time: NVIDIA's Multi-Process Service (MPS).

Without it processes take turns on a GPU, each with all of it, and a small network leaves most of a large one idle: four
trials of ``cnn_residual`` at batch 64 reached 1.07 times the images a second of one on an H200, and 2.16 times with MPS
(docs/benchmarks.md).  Source: NVIDIA, "Multi-Process Service", sections "MPS Control" and "Environment Variables".
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONTROL = "nvidia-cuda-mps-control"
_PIPE, _LOG = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
_USUAL = Path("/tmp/nvidia-mps")  # where clients look for a service without being told

_SECONDS = 30.0  # for each word with the service; it starts in one, and a machine may be busy

# What a client does first.  Through ctypes, for torch takes some seconds to import.
_CLIENT = """
import ctypes, sys
cuda, device, context = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(), ctypes.c_void_p()
sys.exit(
    cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0)
    or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
)
"""

_log = logging.getLogger(__name__)


def served() -> bool:
    """Whether a service runs already, of the user or the machine."""
    return bool(os.environ.get(_PIPE)) or (_USUAL / "control").exists()


@contextmanager
def gpu_sharing(gpus: float | None, *, quiet: bool = False) -> Iterator[dict[str, str]]:
    """Serve the GPUs of this machine to several processes at a time, for the length of the block.

    A service that runs already, of the user or the machine, is used and left as it is.  Where none can be started it
    is said once, and trials take turns.

    Args:
        gpus: of one trial; a service is needed where that is a part of one.
        quiet: whether to keep to oneself that none can be started.

    Yields:
        Environment variables for the processes that train.
    """
    if gpus is None or not 0 < gpus < 1 or served():
        yield {}
        return
    warn, tell = (logging.DEBUG, logging.DEBUG) if quiet else (logging.WARNING, logging.INFO)
    if shutil.which(_CONTROL) is None:
        _log.log(warn, "trials that share a GPU take turns: %s is not installed here", _CONTROL)
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="fer-tune-mps-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        environment = {_PIPE: folder, _LOG: folder}  # /tmp, for the paths of sockets are short
        refused = _started({**os.environ, **environment})
        if refused:
            _log.log(warn, "trials that share a GPU take turns: NVIDIA's MPS cannot be used here: %s", refused)
        else:
            _log.log(tell, "trials share GPUs through NVIDIA's MPS")
        try:
            yield {} if refused else environment
        finally:
            _end({**os.environ, **environment}, Path(folder))


def _started(environment: dict[str, str]) -> str:
    """Start the service and let one client use it; return why that failed, or nothing."""
    for command, what in (([_CONTROL, "-d"], "it does not start"), ([sys.executable, "-c", _CLIENT], "no GPU answers")):
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{what} ({type(error).__name__})"
        if done.returncode:
            told = " ".join((done.stderr or done.stdout).split())[-200:]
            return f"{what} ({told or f'code {done.returncode}'})"
    return ""


def _end(environment: dict[str, str], folder: Path) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run([_CONTROL], input="quit\n", env=environment, capture_output=True, text=True, timeout=_SECONDS)
        return
    _log.warning("NVIDIA's MPS has not ended; `%s=%s %s` and `quit` ends it", _PIPE, folder, _CONTROL)
