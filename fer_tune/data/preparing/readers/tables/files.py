"""Tables of samples, row by row: text (csv, tsv) and Parquet, without holding the images of more than a few rows."""

from __future__ import annotations

import csv
import json
from bisect import bisect_right
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fer_tune.data.preparing.readers.tables.text import why_no_lines
from fer_tune.errors import UserError
from fer_tune.filing.first_bytes import told_by_content

SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
_LINE = 1 << 22  # bytes of a header line, at most


class Row(NamedTuple):
    """One row: where it is, and its values but for images."""

    source: str  # file:line, or file:row
    place: int  # offset of the line in bytes, or number of the row
    values: dict[str, Any]
    fault: str = ""  # why there are no values


class Table(Protocol):
    """A file with named columns."""

    file: Path
    names: list[str]
    binary: list[str]  # the columns that hold images as bytes, or a struct with them

    def rows(self, wanted: Collection[str]) -> Iterator[Row]:
        """Yield the rows with the values of the columns ``wanted``."""

    def value(self, place: int, column: str) -> Any:
        """Return one value of one row."""

    def class_names(self, column: str) -> list[str]:
        """Return what the whole numbers of a column of labels mean, where the file says so."""


def open_table(file: Path) -> Table:
    """Open a table by its suffix.

    Raises:
        UserError: it cannot be read as such.
    """
    return ParquetTable(file) if file.suffix.lower() == ".parquet" else TextTable(file)


class TextTable:
    """A csv or tsv file; the separator is the one of comma, semicolon and tab that its first line has most of.

    Attributes:
        fault: why it has no columns, in words; mostly nothing.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with file.open("rb") as stream:
            first = stream.readline(_LINE)
            self._start = stream.tell()
        text = first.decode("utf-8-sig", "replace").strip("\r\n")
        self._separator = max(",;\t", key=text.count)
        self.fault = why_no_lines(first)
        names = [name.strip().strip('"').strip() for name in text.split(self._separator)]
        self.names = [] if self.fault else names
        self.binary: list[str] = []

    def rows(self, wanted: Collection[str]) -> Iterator[Row]:
        places = {name: self.names.index(name) for name in wanted}
        with self.file.open("rb") as stream:
            stream.seek(self._start)
            offset = self._start
            for line, raw in enumerate(stream, start=2):
                if raw.strip():
                    source = f"{self.file.name}:{line}"
                    fields = self._fields(raw)
                    if len(fields) == len(self.names):
                        yield Row(source, offset, {name: fields[place].strip() for name, place in places.items()})
                    else:
                        fault = f"{len(fields)} fields, the header has {len(self.names)}"
                        yield Row(source, offset, {}, fault)
                offset += len(raw)

    def value(self, place: int, column: str) -> str:
        with self.file.open("rb") as stream:
            stream.seek(place)
            return self._fields(stream.readline())[self.names.index(column)].strip()

    def class_names(self, column: str) -> list[str]:
        return []

    def _fields(self, raw: bytes) -> list[str]:
        try:
            text = raw.decode("utf-8", "backslashreplace").rstrip("\r\n")
            return next(csv.reader([text], delimiter=self._separator), [])
        except csv.Error:
            return []


class ParquetTable:
    """A Parquet file, such as the Hugging Face hub's; one row group of images is held at a time."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._open = pq.ParquetFile(file)
            self._schema = self._open.schema_arrow
        except (pa.ArrowException, OSError) as error:
            told = told_by_content(file)
            raise UserError(f"{file}: is {told}" if told else f"{file}: cannot be read as Parquet: {error}") from None
        self.names = list(self._schema.names)
        self.binary = [field.name for field in self._schema if _holds_bytes(field.type)]
        sizes = [self._open.metadata.row_group(number).num_rows for number in range(self._open.num_row_groups)]
        self._starts = [sum(sizes[:number]) for number in range(len(sizes))]
        self._held: tuple[int, str] | None = None
        self._values: Any = None

    def rows(self, wanted: Collection[str]) -> Iterator[Row]:
        number = 0
        columns = [name for name in wanted if name not in self.binary]
        for batch in self._open.iter_batches(columns=columns):
            for values in batch.to_pylist() if columns else ({} for _ in range(batch.num_rows)):
                yield Row(f"{self.file.name}:{number}", number, values)
                number += 1

    def value(self, place: int, column: str) -> Any:
        group = bisect_right(self._starts, place) - 1
        if self._held != (group, column):
            self._values = self._open.read_row_group(group, columns=[column]).column(0)
            self._held = (group, column)
        return self._values[place - self._starts[group]].as_py()

    def class_names(self, column: str) -> list[str]:
        """Return the names in the schema's metadata, as the ``datasets`` library writes them."""
        try:
            told = json.loads((self._schema.metadata or {})[b"huggingface"])["info"]["features"][column]["names"]
        except (KeyError, ValueError, TypeError):
            return []
        return [str(name) for name in told] if isinstance(told, list) else []


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(place).type) for place in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
