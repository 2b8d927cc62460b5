"""AffectNet's file lists: ``training.csv`` and ``validation.csv`` with subDirectory_filePath, a box and expression.

Source: see `codes`; its readme gives the columns as
``subDirectory_filePath, face_x, face_y, face_width, face_height, facial_landmarks, expression, valence, arousal``.
Faces are aligned by their landmarks, 68 points in pixels of the whole picture, x and y in turn, with semicolons; where
they have none, they are cut out by their boxes, with a margin.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.general.table import read_tables
from fer_tune.data.preparing.readers.published.affectnet.codes import CODES, NAME, NOTE
from fer_tune.data.preparing.readers.tables.choosing import Chosen, choose_tables
from fer_tune.errors import UserError

FORMAT = "affectnet-csv"
NEEDS = "csv files (training.csv, validation.csv) with the columns subDirectory_filePath and expression, and the images"

_LANDMARKS = "facial_landmarks"


def recognises(path: Path) -> bool:
    """Tell whether there are such file lists."""
    try:
        chosen = choose_tables(path)[0]
    except UserError:  # told by the general reader of tables
        return False
    return bool(chosen) and all(map(_fits, chosen))


def read(path: Path) -> RawDataset:
    """Scan the file lists.

    Raises:
        UserError: there are none.
    """
    chosen, unlabelled = choose_tables(path)
    if not chosen or not all(map(_fits, chosen)):
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    raw = read_tables(path, [_with_landmarks(found) for found in chosen], unlabelled, CODES)
    return replace(raw, name=NAME, notes=[NOTE, *raw.notes])


def _with_landmarks(found: Chosen) -> Chosen:
    if _LANDMARKS not in found.table.names:
        return found
    return replace(found, columns=replace(found.columns, landmarks=(_LANDMARKS,)))


def _fits(found: Chosen) -> bool:
    return {"subDirectory_filePath", "expression"} <= set(found.table.names)
