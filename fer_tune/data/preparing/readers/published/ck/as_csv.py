"""CK+ in FER2013's columns: ``ckextended.csv``, ``emotion,pixels,Usage``, where code 7 is contempt.

Source: a table of 920 images that is passed on beside FER2013, made from CK+ (see
:mod:`fer_tune.data.preparing.readers.published.ck.codes`). Its codes follow FER2013's; who is shown is not in it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fer_tune.data.labels import EIGHT
from fer_tune.data.preparing.readers.base import Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.published.ck.codes import CSV_CODES, NAME
from fer_tune.data.preparing.readers.published.fer2013.codes import official_parts
from fer_tune.data.preparing.readers.tables.pixel_rows import (
    knows_contempt,
    one_of,
    own_name,
    pixel_tables,
    scanned,
)

FORMAT = "ckextended"
NEEDS = "a csv file (or a folder with one) whose header names emotion (codes 0 to 7), pixels and, or not, Usage"

_ROWS = 920  # of ckextended.csv


def recognises(path: Path) -> bool:
    """Tell whether ``path`` is such a csv with rows of contempt, or a folder with one."""
    return any(map(knows_contempt, pixel_tables(path)[0]))


def read(path: Path) -> RawDataset:
    """Scan the rows; pixels are parsed when a sample is loaded.

    Raises:
        UserError: there is no such csv, or several.
    """
    files, unlabelled = pixel_tables(path)
    file = one_of(path, [found for found in files if knows_contempt(found)], NEEDS, unlabelled)
    table = scanned(file, CSV_CODES)
    split_of, policy = official_parts(Counter(row.part for row in table.rows))
    samples = [
        Sample(f"{file.name}:{row.line}", EIGHT.index(CSV_CODES[row.code]), split_of[row.part], row.offset)
        for row in table.rows
    ]

    def load(sample: Sample) -> Pixels:
        return table.pixels(sample.place)

    return RawDataset(
        NAME if "ck" in file.stem.lower() or len(table.rows) == _ROWS else own_name(file),
        EIGHT,
        samples,
        load,
        policy.replace("official", "published").replace("Training", "Usage Training"),
        faults=table.faults,
        notes=[f"the codes 0 to 7 are read as {', '.join(CSV_CODES.values())}"],
        warnings=["the table does not tell who is shown: neighbouring frames of a person may stand on both sides"],
        files=[file],
        unlabelled=unlabelled,
    )
