"""FER+: ten people's votes on each image of FER2013, eight emotions with contempt, "unknown" and "NF" (no face).

Either as its script writes it, ``FER2013Train/``, ``FER2013Valid/`` and ``FER2013Test/`` with images and a
``label.csv`` (``name,box`` and ten columns of votes, with a header or without), or ``fer2013new.csv`` beside the
``fer2013.csv`` of the challenge, row for row, or beside folders with the images it names.

Source: Barsoum et al. 2016, "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
Distribution" (arXiv 1608.01041), and its repository. As there, a single vote counts as a slip. The label here is what
most voted for; images where that is unknown, no face, or undecided are left out and told. The votes for emotions are
kept, but for slips.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fer_tune.data.labels import EIGHT
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.published.fer2013.codes import CODES, official_parts
from fer_tune.data.preparing.readers.tables.pixel_rows import PARTS, PixelTable, pixel_tables, scanned
from fer_tune.data.preparing.readers.trees.images import SUFFIXES, decode, readable
from fer_tune.data.preparing.readers.trees.parts import split_of
from fer_tune.errors import UserError

FORMAT = "ferplus"
NEEDS = "folders of images with a label.csv of ten votes each, or fer2013new.csv beside fer2013.csv or those folders"
NAME = "ferplus"

VOTED = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt", "unknown", "NF")
"""The columns of votes, in their order."""
_VOTES_FILE = "fer2013new.csv"
_SLIP = 1  # votes; one of ten is taken for a slip, as in the paper's script


class Voted(NamedTuple):
    """One row of votes."""

    source: str  # file:line
    name: str  # of the image; empty where there is none
    part: str  # of PARTS
    votes: tuple[int, ...]  # as in VOTED
    at: Path | int  # folder of the image, or number of the row


def recognises(path: Path) -> bool:
    """Tell whether there are votes at ``path`` or up to three folders below."""
    return bool(_lists(path)) or _votes_file(path) is not None


def read(path: Path) -> RawDataset:
    """Scan the votes.

    Raises:
        UserError: there are none, or no images that they are about.
    """
    lists, whole = _lists(path), _votes_file(path)
    faults: list[Fault] = []
    table = None
    if lists:
        rows = [row for file in lists for row in _list_rows(file, path, faults)]
        files = [*lists, *([whole] if whole else [])]
    elif whole:
        rows = list(_whole_rows(whole, faults))
        table = _pixels(whole)
        files = [whole, *([table.file] if table else [])]
        if table:
            _check_rows(whole, rows, table)
    else:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    images = {} if table else {file.name: file for file in _images(path if path.is_dir() else path.parent)}
    if not table and not images:
        raise UserError(f"{path}: votes, but no images; put the images, or the fer2013.csv of the challenge, beside")
    offsets = {row.line - 2: row.offset for row in table.rows} if table else {}
    split_as, policy = official_parts({row.part for row in rows})
    samples: list[Sample] = []
    left_out: Counter[str] = Counter()
    for row in rows:
        if not row.name and _most_voted(row.votes) == "NF":
            left_out["NF"] += 1  # FER+ names no image where there is no face
            continue
        place: Path | int | None
        if isinstance(row.at, int):
            place = offsets.get(row.at) if table else images.get(row.name)
        else:
            place = row.at / row.name if (row.at / row.name).is_file() else None
        if place is None:
            faults.append(Fault(row.source, f"names {row.name!r}, but there is no such image"))
            continue
        label = _most_voted(row.votes)
        if isinstance(place, Path):
            files.append(place)
        if label in EIGHT:
            source = readable(_below(place, path)) if isinstance(place, Path) else row.source
            votes = tuple(_counted(row.votes)[VOTED.index(name)] for name in EIGHT)
            samples.append(Sample(source, EIGHT.index(label), split_as[row.part], place, "", votes))
        else:
            left_out[label] += 1
    return RawDataset(
        NAME,
        EIGHT,
        samples,
        lambda sample: _loaded(sample, table),
        policy,
        faults=faults,
        notes=_notes(left_out, len(rows)),
        files=files,
    )


def _notes(left_out: Counter[str], rows: int) -> list[str]:
    notes = ["the label is what most of ten people voted for; single votes do not count; the others are kept"]
    if left_out:
        words = {"unknown": "unknown to most", "NF": "no face to most (NF)", "": "undecided"}
        counts = ", ".join(f"{left_out[key]:,} {said}" for key, said in words.items() if left_out[key])
        notes.append(f"left out: {left_out.total():,} of {rows:,} images, {counts}")
    return notes


def _loaded(sample: Sample, table: PixelTable | None) -> Pixels:
    return table.pixels(sample.place) if table else decode(sample.place, 1)


def _counted(votes: tuple[int, ...]) -> list[int]:
    return [count if count > _SLIP else 0 for count in votes]


def _most_voted(votes: tuple[int, ...]) -> str:
    """Return the name in VOTED with most votes, or an empty string where two have as many or none has two."""
    counted = _counted(votes)
    most = max(counted)
    return VOTED[counted.index(most)] if most and counted.count(most) == 1 else ""


def _list_rows(file: Path, path: Path, faults: list[Fault]) -> Iterator[Voted]:
    """Yield the rows of a label.csv: name, box, ten votes."""
    split = split_of(file.parent.name, loosely=True) or split_of(file.parent.parent.name, loosely=True)
    part = {"train": "Training", "val": "PublicTest", "eval": "PublicTest", "test": "PrivateTest"}.get(split or "", "")
    for line, fields in _fields(file):
        source = f"{readable(_below(file, path))}:{line}"
        votes = _votes(fields[2:])
        if votes is None:
            if line > 1:  # the first may be a header
                faults.append(Fault(source, f"expected a name, a box and {len(VOTED)} votes"))
            continue
        yield Voted(source, fields[0].strip(), part, votes, file.parent)


def _whole_rows(file: Path, faults: list[Fault]) -> Iterator[Voted]:
    """Yield the rows of fer2013new.csv: Usage, image name, ten votes."""
    for line, fields in _fields(file):
        votes = _votes(fields[2:])
        if votes is None or fields[0].strip() not in PARTS:
            if line > 1:
                faults.append(Fault(f"{file.name}:{line}", f"expected Usage, a name and {len(VOTED)} votes"))
            continue
        yield Voted(f"{file.name}:{line}", fields[1].strip(), fields[0].strip(), votes, line - 2)


def _fields(file: Path) -> Iterator[tuple[int, list[str]]]:
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        for line, fields in enumerate(csv.reader(stream), start=1):
            if any(field.strip() for field in fields):
                yield line, fields


def _votes(fields: list[str]) -> tuple[int, ...] | None:
    if len(fields) < len(VOTED):
        return None
    try:
        return tuple(int(float(field or 0)) for field in fields[: len(VOTED)])
    except (ValueError, OverflowError):
        return None


def _lists(path: Path) -> list[Path]:
    found = [file for depth in range(4) for file in path.glob("*/" * depth + "label.csv")] if path.is_dir() else []
    return sorted(file for file in found if any(_votes(fields[2:]) for _, fields in _first(file)))


def _first(file: Path) -> list[tuple[int, list[str]]]:
    return [row for _, row in zip(range(2), _fields(file), strict=False)]


def _votes_file(path: Path) -> Path | None:
    if path.is_file():
        return path if path.name.lower() == _VOTES_FILE else None
    found = [file for depth in range(3) for file in path.glob("*/" * depth + _VOTES_FILE)] if path.is_dir() else []
    return found[0] if found else None


def _pixels(votes: Path) -> PixelTable | None:
    """Return the table with the pixels that the votes are about: the one beside that has as many rows."""
    tables = [scanned(file, CODES) for file in pixel_tables(votes.parent)[0] if file.parent == votes.parent]
    return tables[0] if tables else None


def _check_rows(votes: Path, rows: list[Voted], table: PixelTable) -> None:
    """Raise a UserError where the votes are not about the rows of ``table``: those of one line must be of one part."""
    parts = {row.line - 2: row.part for row in table.rows}
    found = len(table.rows) + len(table.faults)
    if len(rows) != found:
        raise UserError(
            f"{votes}: {len(rows):,} rows of votes, but {table.file.name} has {found:,} rows; they belong together row "
            "for row, as published"
        )
    for row in rows:
        if isinstance(row.at, int) and (part := parts.get(row.at, row.part)) != row.part:
            raise UserError(
                f"{row.source}: Usage {row.part}, but {part} in the same row of {table.file.name}; they belong "
                "together row for row, as published"
            )


def _images(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file())


def _below(file: Path, path: Path) -> Path:
    return file.relative_to(path) if path.is_dir() and file.is_relative_to(path) else Path(file.name)
