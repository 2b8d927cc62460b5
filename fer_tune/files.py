"""Files that are written in one step: a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel


@contextmanager
def replacing(target: Path, *, alone: bool = False) -> Iterator[Path]:
    """Yield a temporary file beside ``target`` that takes its name when the block ends well.

    Args:
        target: the file.
        alone: no other process writes it.  The temporary file then has the same name each time, so that what a process
            that died has left is written over.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    ending = "tmp" if alone else uuid.uuid4().hex  # not mkstemp: others may read what umask allows
    temporary = target.parent / f".{target.name}.{ending}"
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(value: BaseModel | dict[str, Any], target: Path) -> None:
    """Write ``value`` as indented JSON, atomically."""
    text = value.model_dump_json(indent=2) if isinstance(value, BaseModel) else json.dumps(value, indent=2)
    with replacing(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
