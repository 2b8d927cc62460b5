"""The folder in which a Ray that starts here keeps its sockets and logs.

Ray's own choice is ``$RAY_TMPDIR/ray``, else ``$TMPDIR/ray``, else ``/tmp/ray``.  That fails where the path of a socket
becomes too long, where another user made the folder first, and where the disk takes no sockets.  So the first is taken
of Ray's choice and some others in which a socket can be made.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from fer_tune.errors import UserError
from fer_tune.ray_internals import SOCKET

_LONGEST = 103 if sys.platform == "darwin" else 107
"""Bytes of a socket's path: ``sun_path`` of unix(7) less its closing zero."""


def ray_folder() -> Path:
    """Return where a Ray that starts now can keep its sockets and logs.

    Raises:
        UserError: nowhere, or not in the folder that ``RAY_TMPDIR`` names, with what is wrong there.
    """
    asked = os.environ.get("RAY_TMPDIR")
    choices = [Path(asked) / "ray"] if asked else _choices()
    faults = []
    for folder in choices:
        fault = _fault(folder)
        if not fault:
            return folder
        faults.append(f"{folder} ({fault})")
    raise UserError(
        f"Ray finds no place for its sockets: {'; '.join(faults)}. Set RAY_TMPDIR to a folder on a local disk that you "
        f"may write to, with a path of at most {_LONGEST - len(SOCKET.encode()) - len('/ray')} bytes"
    )


def _choices() -> list[Path]:
    own = f"ray-{os.getuid()}"
    found = [Path(os.environ["TMPDIR"]) / "ray"] if os.environ.get("TMPDIR") else []
    found += [Path("/tmp/ray"), Path("/tmp", own), Path("/var/tmp", own)]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):  # of one user, in memory: for sockets, by its specification
        found.append(Path(runtime) / "ray")
    return [*found, Path("/dev/shm", own)]


def _fault(folder: Path) -> str:
    """Return why Ray cannot keep its sockets in ``folder``, or an empty string; the folder is made."""
    length = len(os.fsencode(folder)) + len(SOCKET.encode())
    if length > _LONGEST:
        return f"a socket's path would have {length} bytes, and {_LONGEST} are allowed"
    probe = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = tempfile.mkdtemp(prefix="try-", dir=folder)
        with socket.socket(socket.AF_UNIX) as tried:
            tried.bind(f"{probe}/s")
    except OSError as error:
        return error.strerror or str(error)
    finally:
        if probe:
            shutil.rmtree(probe, ignore_errors=True)
    return ""
