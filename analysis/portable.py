"""Text that goes to other machines names no folder of this one: of a path, its last two parts are kept."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

T = TypeVar("T")

_PATH = re.compile(
    r"(?<![\w.:/<-])"  # not inside a URI, a name such as paper/network, or a fraction, nor the end of a tag
    r"(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\,;:'\"`()<>|]+[/\\]?)+"
)


def without_folders(text: str) -> str:
    """Return ``text`` with every absolute path of a machine cut to its last two parts.

    >>> without_folders("fer-tune refit /home/me/runs/first: see s3://bucket/runs/first, di504-metu/simpler and 1/3")
    'fer-tune refit runs/first: see s3://bucket/runs/first, di504-metu/simpler and 1/3'
    """
    return _PATH.sub(lambda found: "/".join(re.split(r"[/\\]", found[0].rstrip("/\\"))[1:][-2:]), text)


def portable(value: T) -> T:
    """Return a value with `without_folders` done to all text in it: in lists, dictionaries and dataclasses.

    Images (``data:`` addresses) are left as they are.
    """
    return _portable(value)  # type: ignore[no-any-return]


def _portable(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.startswith("data:") else without_folders(value)
    if isinstance(value, list | tuple):
        return type(value)(_portable(each) for each in value)
    if isinstance(value, dict):
        return {_portable(name): _portable(each) for name, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: _portable(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **changed)
    return value
