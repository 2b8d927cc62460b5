"""FER2013 as the challenge published it: one csv, ``emotion,pixels,Usage``, pixels as 2,304 numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from fer_tune.data.labels import EMOTIONS
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample, UnreadableError
from fer_tune.data.preparing.readers.fer2013 import CODES, NAME, PARTS, SIDE, official_parts
from fer_tune.errors import UserError

FORMAT = "fer2013-csv"
NEEDS = "a csv file (or a folder with one) whose header names emotion, pixels and Usage"

_COLUMNS = ("emotion", "pixels", "usage")


def recognises(path: Path) -> bool:
    """Tell whether ``path`` is such a csv, or a folder with one."""
    return bool(_candidates(path))


def read(path: Path) -> RawDataset:
    """Scan the rows; pixels are parsed when a sample is loaded.

    Raises:
        UserError: there is no such csv, or several.
    """
    files = _candidates(path)
    if len(files) != 1:
        raise UserError(f"{path}: {'several csv files fit' if files else 'no csv file fits'}; name one that is {NEEDS}")
    file = files[0]
    rows: list[tuple[int, int, str, int]] = []  # line, label, part, offset of the line in the file
    faults: list[Fault] = []
    with file.open("rb") as stream:
        header = _header(stream.readline())
        offset = stream.tell()
        for line, raw in enumerate(stream, start=2):
            if raw.strip():
                try:
                    label, part, _ = parse_row(raw, header)
                    rows.append((line, label, part, offset))
                except UnreadableError as error:
                    faults.append(Fault(f"{file.name}:{line}", str(error)))
            offset += len(raw)
    split_of, policy = official_parts({part for _, _, part, _ in rows})
    samples = [Sample(f"{file.name}:{line}", label, split_of[part], place) for line, label, part, place in rows]

    def load(sample: Sample) -> Pixels:
        with file.open("rb") as stream:
            stream.seek(sample.place)
            return parse_pixels(parse_row(stream.readline(), header)[2])

    return RawDataset(NAME, EMOTIONS, samples, load, policy, faults=faults)


def parse_row(raw: bytes, header: list[str]) -> tuple[int, str, str]:
    """Return label (index into EMOTIONS), published part and pixel text of one line.

    Raises:
        UnreadableError: fields are missing, or the emotion code or the Usage is unknown.
    """
    try:
        fields = next(csv.reader([raw.decode("utf-8", "replace").rstrip("\r\n")]), [])
    except csv.Error as error:
        raise UnreadableError(f"not a row of a csv: {error}") from None
    if len(fields) < len(header):
        raise UnreadableError(f"truncated row: {len(fields)} fields, the header has {len(header)}")
    if len(fields) > len(header):
        raise UnreadableError(f"{len(fields)} fields, the header has {len(header)}")
    code, pixels, part = (fields[header.index(name)].strip() for name in _COLUMNS)
    if code not in CODES:
        raise UnreadableError(f"unknown emotion {code!r}, the codes are 0 to 6")
    if part not in PARTS:
        raise UnreadableError(f"unknown Usage {part!r}, it is {', '.join(PARTS)}")
    return EMOTIONS.index(CODES[code]), part, pixels


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


def _candidates(path: Path) -> list[Path]:
    """Return the csv files at ``path``, or one folder below it, whose header fits."""
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = sorted([*path.glob("*.csv"), *path.glob("*/*.csv")])
    else:
        return []
    return [file for file in files if file.is_file() and set(_COLUMNS) <= set(_header_of(file))]


def _header_of(file: Path) -> list[str]:
    try:
        with file.open("rb") as stream:
            return _header(stream.readline(4096))
    except OSError:
        return []


def _header(raw: bytes) -> list[str]:
    """Return the names in a header line in lower case, without padding, quotes or byte order mark."""
    text = raw.decode("utf-8-sig", "replace").strip()
    return [name.strip().strip('"').strip().lower() for name in text.split(",")]
