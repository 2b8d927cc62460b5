"""A home folder where the system knows none: in a container whose user has no entry and no ``HOME``.

Ray, torch and others ask for it when they are imported, and end with a traceback without one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def ensure_home() -> None:
    """Set ``HOME`` to a folder of this user below the temporary ones where no home is known, and say so."""
    try:
        Path.home()
    except RuntimeError:
        pass
    else:
        return
    home = Path(tempfile.gettempdir(), f"fer-tune-home-{os.getuid()}")
    home.mkdir(mode=0o700, exist_ok=True)
    if home.stat().st_uid != os.getuid():  # somebody made it first, and could read and change what is kept there
        home = Path(tempfile.mkdtemp(prefix="fer-tune-home-"))
    os.environ["HOME"] = str(home)
    print(
        f"fer-tune: user {os.getuid()} has no home folder here and HOME is not set: caches are kept in {home}",
        file=sys.stderr,
    )
