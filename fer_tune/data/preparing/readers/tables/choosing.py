"""Which of the tables in a folder are the dataset, and which split each is."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fer_tune.data.preparing.readers.tables.columns import Columns, find_columns
from fer_tune.data.preparing.readers.tables.files import SUFFIXES, Table, open_table
from fer_tune.data.preparing.readers.trees.images import is_junk
from fer_tune.data.preparing.readers.trees.parts import split_of
from fer_tune.errors import UserError

_DEPTH = 3  # folders below the one that is named
_SHARD = re.compile(r"(?:[-_.]?\d+-of-\d+(?:-[0-9a-f]{16})?|[-_.]?\d{2,})$", re.ASCII)  # train-00000-of-00002, 0001

_PIXELS = re.compile(r"\[?(?:\d{1,3}[ ,]+){16}")  # numbers, as no path begins; the smallest picture has 8x8


@dataclass(frozen=True)
class Chosen:
    """A table that is read."""

    table: Table
    columns: Columns
    split: str  # train, val, test or eval by its name, or ""


def choose_tables(path: Path, said: Mapping[str, str] | None = None) -> tuple[list[Chosen], list[Path]]:
    """Return the tables with images and labels at ``path``, and those of a test without labels.

    Tables named like splits belong together, as do the shards of one Parquet dataset. Of others there may be only one.

    Raises:
        UserError: several tables fit, or none.
    """
    labelled: list[Chosen] = []
    unlabelled: list[Path] = []
    for file in _files(path):
        if path.is_dir() and "submission" in file.stem.lower():  # a form for guesses, as competitions have it
            continue
        table = open_table(file)
        columns = find_columns(table.names, said, binary=table.binary) if _all_there(table, said) else None
        if columns is not None and not (said or {}).get("path"):
            columns = _by_content(table, columns)
        if columns is not None and columns.has_image and columns.has_label:
            labelled.append(Chosen(table, columns, _split(file, path)))
        elif columns is not None and columns.has_image and _split(file, path) in ("test", "val", "eval"):
            unlabelled.append(file)
    if said and not labelled and path.is_file():
        find_columns(open_table(path).names, said)  # says which column is not there
    divided = [chosen for chosen in labelled if chosen.split]
    chosen = divided if len(divided) > 1 or (divided and len(labelled) == 1) else labelled
    kinds = {found.table.file.suffix.lower() for found in chosen}
    if len(kinds) > 1 or (kinds != {".parquet"} and _clash(chosen)) or (kinds == {".parquet"} and _mixed(chosen)):
        listed = "\n".join(f"  {found.table.file}" for found in chosen)
        raise UserError(f"{path}: several tables fit; name one of them instead of the folder:\n{listed}")
    return chosen, unlabelled


def _all_there(table: Table, said: Mapping[str, str] | None) -> bool:
    """Tell whether the columns that were said are in ``table``, however they are spelt."""
    plain = {re.sub(r"[\W_]+", "", name.lower()) for name in table.names}
    return all(re.sub(r"[\W_]+", "", name.lower()) in plain for name in (said or {}).values())


def _by_content(table: Table, columns: Columns) -> Columns:
    """Return ``columns`` with that of paths as one of pixels where its first row holds so many numbers."""
    if columns.path is None or columns.pixels or columns.image:
        return columns
    first = next(iter(table.rows([columns.path])), None)
    found = str(first.values.get(columns.path, "")) if first else ""
    return replace(columns, path=None, pixels=columns.path) if _PIXELS.match(found) else columns


def _clash(chosen: list[Chosen]) -> bool:
    """Tell whether two text tables are of one split."""
    return any(count > 1 for count in Counter(found.split for found in chosen).values())


def _mixed(chosen: list[Chosen]) -> bool:
    """Tell whether Parquet files without a split differ in their columns, or in their names but for numbers."""
    plain = [found for found in chosen if not found.split]
    names = {_SHARD.sub("", found.table.file.stem) for found in plain}
    return len(names) > 1 or len({tuple(found.table.names) for found in plain}) > 1


def _split(file: Path, path: Path) -> str:
    """Return the split that a file's name tells, or that of the folders between it and ``path``."""
    stem = _SHARD.sub("", file.stem)
    above = file.relative_to(path).parent.parts if path.is_dir() else ()
    return split_of(stem, loosely=True) or next((found for name in above if (found := split_of(name))), "")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() in SUFFIXES else []
    found: list[Path] = []
    for folder, inner, names in os.walk(path, followlinks=False):
        depth = len(Path(folder).relative_to(path).parts)
        inner[:] = sorted(name for name in inner if not is_junk(name)) if depth < _DEPTH else []
        found += [
            Path(folder, name)
            for name in names
            if not is_junk(name)
            and os.path.splitext(name)[1].lower() in SUFFIXES
            and os.path.getsize(Path(folder, name))
        ]
    return sorted(found)
