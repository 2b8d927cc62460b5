"""What folder layouts share: the names of split folders, and the folder around a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from fer_tune.data.preparing.readers.images import folders_in

SPLIT_FOLDERS: dict[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "publictest": "val",
    "test": "test",
    "testing": "test",
    "privatetest": "test",
}
"""Name of a folder in lower case -> the split in it."""


def split_folders(root: Path) -> list[Path]:
    """Return the folders of ``root`` that are named like a split."""
    return [folder for folder in folders_in(root) if folder.name.lower() in SPLIT_FOLDERS]


def find_root(path: Path, fits: Callable[[Path], bool]) -> Path | None:
    """Return ``path``, or the only folder in it (twice over, as archives are unpacked), whichever fits first."""
    return next((root for root in _roots(path) if fits(root)), None)


def _roots(path: Path) -> Iterator[Path]:
    for _ in range(3):
        if not path.is_dir():
            return
        yield path
        inner = folders_in(path)
        if len(inner) != 1:
            return
        path = inner[0]
