"""What the tests of the shipped files share."""

from __future__ import annotations

import re
import shlex
import sysconfig
from pathlib import Path
from typing import Any

import typer.main

import clusters
from fer_tune.cli.main import app

# A token or key written out: a long run of letters and digits after a name that tells a secret.
_SECRET = re.compile(r"(?i)(token|secret|password|api[_-]?key)\w*[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9+/_-]{16,}")
_KNOWN = re.compile(r"AKIA[0-9A-Z]{16}|-----BEGIN|gh[pousr]_[A-Za-z0-9]{20,}")


def text(name: str) -> str:
    return clusters.path(name).read_text(encoding="utf-8")


def header(name: str) -> str:
    """Return the comment that opens a file, without its ``#``."""
    lines = []
    for line in text(name).splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(("#!", "#SBATCH")):
            lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines)


def checker(name: str) -> str:
    """Return the path of a checker that is a program: the lock's packages bring it."""
    program = Path(sysconfig.get_path("scripts"), name)
    assert program.is_file(), f"{program} is missing; run: make setup"
    return str(program)


def secrets_in(shown: str) -> list[str]:
    return [match[0] for pattern in (_SECRET, _KNOWN) for match in pattern.finditer(shown)]


def commands_in(shown: str) -> list[str]:
    """Return the indented commands of a comment or of Markdown's code blocks, each on one line."""
    joined = re.sub(r"\\\n\s*", "", shown)
    return [line.strip() for line in joined.splitlines() if re.match(r"\s{2,}\S", line)]


def check_fer_tune(command: str) -> bool:
    """Parse the ``fer-tune`` command in a line as the program does; return whether there is one.

    Raises:
        Exception: of click; it has an option or a command that fer-tune does not have.
    """
    found = re.search(r"fer-tune (search|resume|spaces|refit)\b.*", command)
    if not found:
        return False
    words = shlex.split(re.split(r"['`;|]|  #|\s#", found[0])[0], posix=True)[1:]
    program: Any = typer.main.get_command(app)
    while hasattr(program, "commands"):
        program = program.commands[words.pop(0)]
    program.make_context("fer-tune", words)
    return True


def check_ray_start(command: str) -> dict[str, Any]:
    """Parse the ``ray start`` of a command as Ray does, shell variables and all; return its parameters by name.

    Raises:
        Exception: of click; it has an option that Ray does not have, or a value of another type.
    """
    from ray.scripts.scripts import start

    words = shlex.split(re.sub(r"\$\([^)]*\)", "10.9.8.7", command.split("ray start", 1)[1]))
    return dict(start.make_context("start", words).params)
