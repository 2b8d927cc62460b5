"""The version of the installed package, and the commit that a checkout of it stands at."""

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

try:
    __version__ = version("fer-tune")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"


@cache
def commit() -> str:
    """Return the git commit of the code that runs, ``-dirty`` behind it where files were changed since.

    Empty for an installed package, also where that lies in the folder of somebody's own repository, and without git.
    """
    here = Path(__file__)
    asked = (
        ("ls-files", "--error-unmatch", here.name),
        ("describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"),
    )
    told = ""
    for words in asked:
        try:
            done = subprocess.run(("git", *words), cwd=here.parent, capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        if done.returncode:
            return ""
        told = done.stdout.strip()
    return told
