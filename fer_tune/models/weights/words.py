"""Lists of names in messages about weights."""

from __future__ import annotations


def some(names: tuple[str, ...] | list[str], most: int = 4) -> str:
    """Return names for a message: the first few, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
