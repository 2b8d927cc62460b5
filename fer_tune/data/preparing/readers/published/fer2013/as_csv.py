"""FER2013 as the challenge published it: one csv, ``emotion,pixels,Usage``, pixels as 2,304 numbers.

The challenge's own ``train.csv`` has no Usage: it is one undivided set, and ``test.csv``, without emotions, is for
prediction. Other data in these columns are read with these codes, but not called FER2013.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fer_tune.data.labels import EMOTIONS
from fer_tune.data.preparing.readers.base import Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.published.fer2013.codes import CODES, NAME, is_whole, official_parts, unlike
from fer_tune.data.preparing.readers.tables.pixel_rows import (
    codes_in,
    knows_contempt,
    one_of,
    own_name,
    pixel_tables,
    scanned,
)

FORMAT = "fer2013-csv"
NEEDS = "a csv file (or a folder with one) whose header names emotion (codes 0 to 6), pixels and, or not, Usage"

_OWN_NAMES = ("fer2013", "icml_face_data")


def recognises(path: Path) -> bool:
    """Tell whether ``path`` is such a csv, or a folder with one that is not there for FER+'s votes."""
    return bool(_candidates(path)) and not (path.is_dir() and any(path.rglob("fer2013new.csv")))


def read(path: Path) -> RawDataset:
    """Scan the rows; pixels are parsed when a sample is loaded.

    Raises:
        UserError: there is no such csv, or several.
    """
    unlabelled = pixel_tables(path)[1]
    file = one_of(path, _candidates(path), NEEDS, unlabelled)
    if not path.is_dir():
        unlabelled = pixel_tables(file.parent)[1]
    table = scanned(file, CODES)
    counts = Counter(row.part for row in table.rows)
    split_of, policy = official_parts(counts)
    samples = [
        Sample(f"{file.name}:{row.line}", EMOTIONS.index(CODES[row.code]), split_of[row.part], row.offset)
        for row in table.rows
    ]
    is_named = file.stem.lower().startswith(_OWN_NAMES) and "Training" in counts
    is_fer2013 = is_named or is_whole(counts) or (not counts.keys() - {""} and is_whole({"Training": counts[""]}))
    notes = [] if is_fer2013 else [f"the codes 0 to 6 are read as FER2013's: {', '.join(CODES.values())}"]

    def load(sample: Sample) -> Pixels:
        return table.pixels(sample.place)

    return RawDataset(
        NAME if is_fer2013 else own_name(file),
        EMOTIONS,
        samples,
        load,
        policy,
        faults=table.faults,
        notes=notes,
        warnings=unlike(counts) if is_named else [],
        files=[file],
        unlabelled=unlabelled,
    )


def _candidates(path: Path) -> list[Path]:
    """Return the csv files whose header and codes fit; text instead of codes is for the general table."""
    return [
        file
        for file in pixel_tables(path)[0]
        if not knows_contempt(file) and (not (found := codes_in(file)) or any(code.isdigit() for code in found))
    ]
