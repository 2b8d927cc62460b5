"""RAF-DB as tables: ``train_labels.csv`` and ``test_labels.csv`` (``image,label``), a file a split, codes 1 to 7.

Source: see `codes`. The images are named as RAF-DB's, ``train_00001_aligned.jpg``
or ``train_00001.jpg``, and stand in any folder; those in folders 1 to 7 are for ``raf-db-folders``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.general.table import read_tables
from fer_tune.data.preparing.readers.published.raf_db import as_folders as raf_folders
from fer_tune.data.preparing.readers.published.raf_db.codes import CODES, NAME
from fer_tune.data.preparing.readers.tables.choosing import Chosen, choose_tables
from fer_tune.errors import UserError

FORMAT = "raf-db-csv"
NEEDS = "csv files, one a split (train_labels.csv, test_labels.csv), of images named like train_00001_aligned.jpg"

_NAMED = re.compile(r"(train|test|val|valid)_\d{3,5}(_aligned)?\.\w+", re.ASCII)
_PROBED = 20  # rows


def recognises(path: Path) -> bool:
    """Tell whether there are tables of images named so, with codes 1 to 7, and no numbered folders."""
    if path.is_dir() and raf_folders.recognises(path):
        return False
    try:
        chosen = choose_tables(path)[0]
    except UserError:  # told by the general reader of tables
        return False
    return bool(chosen) and all(map(_fits, chosen))


def read(path: Path) -> RawDataset:
    """Scan the tables.

    Raises:
        UserError: there are none.
    """
    chosen, unlabelled = choose_tables(path)
    if not chosen or not all(map(_fits, chosen)):
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    return replace(read_tables(path, chosen, unlabelled, CODES), name=NAME)


def _fits(found: Chosen) -> bool:
    columns = found.columns
    if columns.path is None or columns.label is None:
        return False
    rows = [row.values for row in islice(found.table.rows([columns.path, columns.label]), _PROBED) if not row.fault]
    return bool(rows) and all(
        str(row[columns.label]) in CODES and _NAMED.fullmatch(PurePosixPath(str(row[columns.path])).name)
        for row in rows
    )
