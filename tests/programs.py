"""Programs that tests start: in a session of their own, so that nothing of them outlives the test."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FER_TUNE = (sys.executable, "-c", "from fer_tune.cli.main import main; main()")


@contextlib.contextmanager
def started(
    program: Sequence[Any], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``program``, with what it prints going to ``log``; at the end kill it and all that it started."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in program],
            stdout=out,
            stderr=out,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
