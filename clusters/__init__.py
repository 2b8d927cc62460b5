"""How the same command reaches a cluster: files for Ray's tools, shipped with the package.

``clusters.path("runtime_env.yaml")`` finds one, also from an installed fer-tune.
"""

from __future__ import annotations

from pathlib import Path


def path(name: str) -> Path:
    """Return the path of a shipped file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    found = Path(__file__).resolve().parent / name
    if not found.is_file():
        raise FileNotFoundError(found)
    return found
