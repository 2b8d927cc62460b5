"""Files that are written in one step: a reader sees the old one or the new one, never half of one."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fer_tune.errors import UserError

M = TypeVar("M", bound=BaseModel)

_MOST = 3  # faults of a file that are told: one that is of another version has dozens


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


def read_json(kind: type[M], file: Path, cure: str) -> M:
    """Read what `write_json` wrote of a model of ``kind``.

    Args:
        kind: of the model.
        file: where it is.
        cure: what a user can do where it cannot be used, in an imperative.

    Raises:
        UserError: it is cut off, damaged or of another version of fer-tune, with the first faults.
    """
    try:
        return kind.model_validate_json(file.read_bytes())
    except ValidationError as error:
        told = faults(error)
        raise UserError(f"{file}: damaged, or of another version of fer-tune: {told}; {cure}") from None


def faults(error: ValidationError) -> str:
    """Return the first faults of a file on one line, each with its field."""
    found = [f"{'.'.join(map(str, each['loc'])) or 'file'}: {each['msg'].lower()}" for each in error.errors()]
    return "; ".join(found[:_MOST])
