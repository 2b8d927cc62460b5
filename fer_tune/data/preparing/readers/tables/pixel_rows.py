"""Tables of the kind of FER2013's: a row an image, its 48x48 pixels as numbers; what their readers share.

Between fields stands a comma, a semicolon or a tab, whichever comes first in a line: programs write each of them,
Excel the semicolon in half of Europe.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_tune.data.preparing.readers.base import Fault, Pixels, UnreadableError
from fer_tune.data.preparing.readers.tables.text import why_no_lines
from fer_tune.data.preparing.readers.trees.images import is_junk
from fer_tune.data.preparing.readers.trees.parts import split_of
from fer_tune.errors import UserError

PARTS: tuple[str, ...] = ("Training", "PublicTest", "PrivateTest")
"""What FER2013's Usage says, and that of tables made after it."""
SIDE = 48
_DEPTH = 3  # the folder itself and two below: fer2013.tar.gz holds fer2013/fer2013.csv, and archives add one more
_SPLITS = ("train", "val", "test")


class Row(NamedTuple):
    """One line that can be used."""

    line: int
    code: str
    part: str  # one of PARTS, or "" where the table has no Usage
    offset: int  # of the line in the file, in bytes


@dataclass(frozen=True)
class PixelTable:
    """A csv file with the columns emotion and pixels, and Usage or not, as it was scanned."""

    file: Path
    header: list[str]
    rows: list[Row]
    faults: list[Fault]

    def pixels(self, offset: int) -> Pixels:
        """Return the image of the line at ``offset``.

        Raises:
            UnreadableError: its pixels are not 2,304 numbers from 0 to 255.
        """
        with self.file.open("rb") as stream:
            stream.seek(offset)
            fields = fields_of(stream.readline(), self.header)
        return parse_pixels(fields[self.header.index("pixels")].strip())


def scanned(file: Path, codes: Mapping[str, str]) -> PixelTable:
    """Read the rows of ``file``, but not their pixels.

    Raises:
        UserError: there are none.
    """
    rows: list[Row] = []
    faults: list[Fault] = []
    with file.open("rb") as stream:
        header = header_names(stream.readline())
        offset = stream.tell()
        for line, raw in enumerate(stream, start=2):
            if raw.strip():
                try:
                    code, part, _ = parse_fields(raw, header, codes)
                    rows.append(Row(line, code, part, offset))
                except UnreadableError as error:
                    faults.append(Fault(f"{file.name}:{line}", str(error)))
            offset += len(raw)
    if not rows and not faults:
        raise UserError(f"{file}: holds the names of columns and no rows; download or save it again")
    return PixelTable(file, header, rows, faults)


def parse_fields(raw: bytes, header: list[str], codes: Mapping[str, str]) -> tuple[str, str, str]:
    """Return emotion code, part (one of PARTS, "" without a Usage) and pixel text of one line.

    Raises:
        UnreadableError: fields are missing, or the emotion code or the Usage is unknown.
    """
    fields = fields_of(raw, header)
    code, pixels = _whole(fields[header.index("emotion")]), fields[header.index("pixels")].strip()
    if code not in codes:
        raise UnreadableError(f"unknown emotion {code!r}, the codes are {min(codes)} to {max(codes)}")
    if "usage" not in header:
        return code, "", pixels
    usage = fields[header.index("usage")].strip()
    split = split_of(usage)
    part = usage if usage in PARTS else PARTS[_SPLITS.index(split)] if split in _SPLITS else None
    if part is None:
        raise UnreadableError(f"unknown Usage {usage!r}, it is {', '.join(PARTS)}")
    return code, part, pixels


def fields_of(raw: bytes, header: list[str]) -> list[str]:
    """Return the fields of one line, as many as the header has.

    Raises:
        UnreadableError: it has more or fewer, or is no row of a csv.
    """
    try:
        text = raw.decode("utf-8", "replace").rstrip("\r\n")
        fields = next(csv.reader([text], delimiter=_separator(text)), [])
    except csv.Error as error:
        raise UnreadableError(f"not a row of a csv: {error}") from None
    if len(fields) < len(header):
        raise UnreadableError(f"truncated row: {len(fields)} fields, the header has {len(header)}")
    if len(fields) > len(header):
        raise UnreadableError(f"{len(fields)} fields, the header has {len(header)}")
    return fields


def _separator(text: str) -> str:
    """Return what stands between the fields of a line: none of its fields has such a sign but the pixels, if any."""
    return next((sign for sign in text if sign in ",;\t"), ",")


def _whole(code: str) -> str:
    """Return a code as a whole number: where one row has none, pandas writes the others as 3.0."""
    return re.sub(r"\.0+$", "", code.strip())


def parse_pixels(text: str) -> Pixels:
    """Parse 2,304 numbers from 0 to 255 into (48, 48) uint8.

    Raises:
        UnreadableError: there are more or fewer, or one of them is not such a number.
    """
    try:
        values = np.fromstring(text, np.int64, sep=" ")  # five times as quick as int() on each word
    except ValueError:
        raise UnreadableError(_pixel_fault(text)) from None
    if values.size != SIDE * SIDE or values.max() > 255 or "-" in text or "+" in text:  # a lone sign reads as 0
        raise UnreadableError(_pixel_fault(text))
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _pixel_fault(text: str) -> str:
    words = text.split()
    if len(words) != SIDE * SIDE:
        return f"{len(words)} pixel values, expected {SIDE * SIDE}"
    wrong = next(word for word in words if not (word.isascii() and word.isdigit() and int(word) < 256))
    return f"pixel value {wrong!r} is no number from 0 to 255"


def pixel_tables(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the csv files at ``path``, or two folders below, with emotion and pixels; and those with pixels alone."""
    if path.is_file():
        files = [path]
    elif path.is_dir():
        found = (file for depth in range(_DEPTH) for file in path.glob("*/" * depth + "*.csv"))
        files = sorted(file for file in found if not any(map(is_junk, file.relative_to(path).parts)))
    else:
        return [], []
    headers = {file: header_of(file) for file in files if file.is_file()}
    labelled = [file for file, names in headers.items() if {"emotion", "pixels"} <= set(names)]
    return labelled, [file for file, names in headers.items() if "pixels" in names and file not in labelled]


def codes_in(file: Path) -> Counter[str]:
    """Count the emotion codes of a table by a quick look: fields cut where the header's are, quotes taken off."""
    place = header_of(file).index("emotion")
    counts: Counter[str] = Counter()
    with file.open("rb") as stream:
        between = _separator(stream.readline().decode("utf-8", "replace")).encode()
        for raw in stream:
            fields = raw.split(between, place + 1)
            if len(fields) > place + 1 or (place and len(fields) > place):
                counts[_whole(fields[place].strip().strip(b'"').decode("utf-8", "replace"))] += 1
    return counts


def knows_contempt(file: Path) -> bool:
    """Tell whether the codes run to 7, which FER2013's do not; one such row in a file named fer is a fault in it."""
    counts = codes_in(file)
    sevens = counts["7"]
    return sevens > 1 and sevens >= 0.01 * counts.total() if "fer" in file.stem.lower() else sevens > 0


def one_of(path: Path, files: list[Path], needs: str, unlabelled: list[Path]) -> Path:
    """Return the only one of ``files``.

    Raises:
        UserError: there is none or there are several, which are named.
    """
    if not files:
        raise UserError(f"{path}: no csv file fits; name one that is {needs}")
    if len(files) > 1:
        listed = "\n".join(f"  {file}: {_told(file)}" for file in files)
        beside = "".join(f"\n  ({file}: without labels, for `fer-tune predict`)" for file in unlabelled)
        raise UserError(f"{path}: several csv files fit; name one of them instead of the folder:\n{listed}{beside}")
    return files[0]


def _told(file: Path) -> str:
    names = header_of(file)
    with file.open("rb") as stream:
        rows = sum(bool(raw.strip()) for raw in stream) - 1
    return f"{rows:,} rows, {'divided by Usage' if 'usage' in names else 'undivided, without Usage'}"


def own_name(file: Path) -> str:
    """Return a name for the data of a table: the file's, or the folder's where the file is called train or data."""
    stem = file.stem
    is_general = split_of(stem, loosely=True) or stem.lower() in ("data", "dataset", "labels", "images", "label")
    return file.resolve().parent.name if is_general else stem


def header_of(file: Path) -> list[str]:
    """Return the names in the first line of ``file``; none where it cannot be read line by line."""
    try:
        with file.open("rb") as stream:
            first = stream.readline(4096)
    except OSError:
        return []
    return [] if why_no_lines(first) else header_names(first)


def header_names(raw: bytes) -> list[str]:
    """Return the names in a header line in lower case, without padding, quotes or byte order mark."""
    text = raw.decode("utf-8-sig", "replace").strip()
    return [name.strip().strip('"').strip().lower() for name in text.split(_separator(text))]
