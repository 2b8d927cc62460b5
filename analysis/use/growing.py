"""A table of predictions that grows while images are predicted, so that whatever ends it, what is computed is kept."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.saving import markdown_rows
from fer_tune.errors import UserError

SUFFIXES = (".csv", ".parquet", ".md")


class Growing:
    """Writes frames one after the other to a csv, Parquet or Markdown file; use as a context manager.

    A csv or Markdown file has all that was added at any moment; a Parquet file can be read once it is closed, which
    an error or an interrupt does too.  A file of that name is replaced when the first frame is added.

    Raises:
        UserError: the name ends in none of `SUFFIXES`, or the folder cannot be written.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._writer: pq.ParquetWriter | None = None
        self._began = False
        if target.suffix not in SUFFIXES:
            raise UserError(f"--out {target}: its name must end in .csv, .parquet or .md")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None
        if target.is_dir() or not os.access(target if target.exists() else target.parent, os.W_OK):
            raise UserError(f"--out {target}: cannot be written; name another file")

    def add(self, frame: pd.DataFrame) -> None:
        """Append the rows of ``frame``; the columns are those of the first one.

        Raises:
            UserError: the disk is full, or the file cannot be written any more.
        """
        try:
            if self.target.suffix == ".parquet":
                table = pa.Table.from_pandas(frame, preserve_index=False)
                self._writer = self._writer or pq.ParquetWriter(self.target, table.schema)
                self._writer.write_table(table)
            else:
                with self.target.open("a" if self._began else "w", encoding="utf-8", newline="") as file:
                    file.write(self._text(frame))
                    file.flush()
                    os.fsync(file.fileno())  # what is computed is kept, also when the machine goes down
        except OSError as error:
            raise self._unwritable(error) from None
        self._began = True

    def _text(self, frame: pd.DataFrame) -> str:
        if self.target.suffix == ".csv":
            text: str = frame.to_csv(index=False, header=not self._began)
            return text
        return markdown_rows(frame, header=not self._began)

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(f"--out {self.target}: cannot be written: {error.strerror or error}; name another file")

    def __enter__(self) -> Growing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        if self._writer is not None:
            self._writer.close()
