"""Any table of images: csv, tsv or Parquet, with the image (path, bytes or pixels) and the label of each row.

Optional: split, group (who is shown), box or five points (the face in the picture), or instead of the label a column of
votes for each emotion. Columns are found by their names or said with ``--columns``. Several tables named like splits
are one dataset, as are the shards of a Parquet dataset from the Hugging Face hub, whose image is a struct of bytes and
path and whose label's names stand in the schema (source: the ``datasets`` library's documentation of Image and
ClassLabel).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fer_tune.amounts import amount
from fer_tune.data.labels import class_names, read_as_one
from fer_tune.data.preparing.readers.base import Fault, RawDataset, Sample, UnreadableError
from fer_tune.data.preparing.readers.tables.cells import Cell, face_of, label_of, load_cell, most_voted
from fer_tune.data.preparing.readers.tables.choosing import Chosen, choose_tables
from fer_tune.data.preparing.readers.tables.columns import Columns, unclear
from fer_tune.data.preparing.readers.tables.pictures import Pictures
from fer_tune.data.preparing.readers.tables.pixel_rows import own_name
from fer_tune.data.preparing.readers.trees.images import readable
from fer_tune.data.preparing.readers.trees.parts import published, split_of
from fer_tune.errors import UserError

FORMAT = "table"
NEEDS = (
    "a csv, tsv or Parquet file (or a folder with one, or one a split) with columns for the image (path, bytes or "
    "pixels) and the label"
)


class _Labelled(NamedTuple):
    source: str
    label: str
    split: str
    place: Cell
    group: str
    votes: dict[str, int]


def recognises(path: Path) -> bool:
    """Tell whether a table with such columns is there."""
    try:
        return bool(choose_tables(path)[0])
    except UserError:  # told when it is read
        return True


def read(path: Path, columns: Mapping[str, str] | None = None) -> RawDataset:
    """Scan the tables.

    Args:
        path: a table, or a folder with tables.
        columns: what was said: one of `columns.ROLES` -> name of a column.

    Raises:
        UserError: there is no such table, several fit, or a column is missing.
    """
    chosen, unlabelled = choose_tables(path, columns)
    if not chosen:
        raise UserError(
            f"{path}: no table that fits; it needs {NEEDS}; say which with --columns, such as label=emotion"
        )
    return read_tables(path, chosen, unlabelled)


def read_tables(
    path: Path, chosen: list[Chosen], unlabelled: list[Path], codes: Mapping[str, str] | None = None
) -> RawDataset:
    """Scan the tables ``chosen``.

    Args:
        path: what the user named.
        chosen: the tables.
        unlabelled: tables without labels.
        codes: label -> class; "" for what is told and left out. By default labels are names, or what the file says.

    Raises:
        UserError: there is no usable row, or only one class.
    """
    root = path if path.is_dir() else path.parent
    pictures = Pictures(root)
    rows: list[_Labelled] = []
    faults: list[Fault] = []
    left_out: Counter[str] = Counter()
    for found in chosen:
        _scan(found, pictures, codes, rows, faults, left_out)
    if not rows:
        listed = "\n".join(f"  {fault.source}: {fault.reason}" for fault in faults[:5])
        raise UserError(f"{path}: no usable row in {', '.join(one.table.file.name for one in chosen)}\n{listed}")
    meant = class_names(row.label for row in rows)
    classes = tuple(sorted(set(meant.values())))
    if len(classes) < 2:
        raise UserError(f"{path}: only one class, {classes[0]!r}; there must be two or more")
    splits = {row.split for row in rows}
    if "" in splits and len(splits) > 1:
        raise UserError(
            f"{path}: some rows tell a split and others do not; fill the column, or leave it out of the table"
        )
    evaluation = "val" if "test" in splits else "test"
    used, policy = published({split: evaluation if split == "eval" else split for split in splits})
    samples = [
        Sample(
            row.source,
            classes.index(meant[row.label]),
            used[row.split],
            row.place,
            row.group,
            tuple(row.votes.get(name, 0) for name in classes) if row.votes else (),
        )
        for row in rows
    ]
    notes = read_as_one({readable(name): own for name, own in meant.items()})
    notes += [f"left out: {amount(count, 'row')}, {reason}" for reason, count in sorted(left_out.items())]
    unmarked = sum(row.place.points is None for row in rows)
    if unmarked and any(found.columns.landmarks for found in chosen):
        notes.append(
            f"{amount(unmarked, 'row')} without landmarks that can be used: faces are cut out by their boxes there"
        )
    warnings = [one for found in chosen for one in unclear(found.table.names, found.columns)]
    first = chosen[0]
    name = own_name(path) if path.is_file() else path.resolve().name
    groups = first.columns.group
    return RawDataset(
        readable(name),
        classes,
        samples,
        lambda sample: load_cell(sample.place, align=False),
        policy,
        _channels(samples),
        faults,
        notes,
        warnings=sorted(set(warnings)),
        files=[*(found.table.file for found in chosen), *pictures.left_out],
        unlabelled=unlabelled,
        people=f"the column {groups}" if groups else "",
        aligned=(lambda sample: load_cell(sample.place)) if unmarked < len(rows) else None,
    )


def _scan(
    found: Chosen,
    pictures: Pictures,
    codes: Mapping[str, str] | None,
    rows: list[_Labelled],
    faults: list[Fault],
    left_out: Counter[str],
) -> None:
    """Add the rows of one table to ``rows``, ``faults`` and ``left_out``."""
    table, columns = found.table, found.columns
    names = table.class_names(columns.label) if columns.label else []
    faces = (*columns.box, *columns.landmarks)
    wanted = {columns.path, columns.label, columns.split, columns.group, *faces, *columns.votes} - {None}
    for row in table.rows([name for name in table.names if name in wanted]):
        source = readable(f"{_below(table.file, pictures.root)}:{row.source.rpartition(':')[2]}")
        try:
            if row.fault:
                raise UnreadableError(row.fault)
            place = Cell(table, row.place, columns, None, *face_of(row.values, columns))
            if columns.path and not (columns.image or columns.pixels):
                picture = pictures.find(str(row.values[columns.path]), table.file.parent)
                place = place._replace(file=picture)
            votes = _votes(row.values, columns)
            label = most_voted(votes) if columns.votes else label_of(row.values[columns.label or ""], names, codes)
            split = found.split or _split(row.values, columns)
        except UnreadableError as error:
            faults.append(Fault(source, readable(str(error))))
            continue
        if label is None or not label:
            reason = "undecided votes" if columns.votes else "without a label" if label is None else "of no emotion"
            left_out[reason] += 1
            if place.file is not None:
                pictures.left_out.append(place.file)
            continue
        if place.file is not None:
            is_whole = not (place.box or place.points)  # else a picture may hold several faces
            source = readable(_below(place.file, pictures.root)) if is_whole else f"{source} {place.file.name}"
        group = row.values.get(columns.group) if columns.group else None
        rows.append(_Labelled(source, label, split, place, "" if group is None else str(group), votes))


def _split(values: Mapping[str, Any], columns: Columns) -> str:
    if columns.split is None:
        return ""
    text = str(values[columns.split])
    found = split_of(text, loosely=True)
    if found is None:
        raise UnreadableError(f"{columns.split} {text!r} is none of train, val and test")
    return found


def _votes(values: Mapping[str, Any], columns: Columns) -> dict[str, int]:
    try:
        return {emotion: int(float(values[name] or 0)) for name, emotion in columns.votes.items()}
    except ValueError:
        raise UnreadableError("a number of votes is none") from None


def _channels(samples: list[Sample]) -> Literal[1, 3]:
    """Return 3 where the first image that can be read is coloured."""
    for sample in samples[:20]:
        try:
            return 3 if load_cell(sample.place).ndim == 3 else 1
        except UnreadableError:
            continue
    return 3


def _below(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
