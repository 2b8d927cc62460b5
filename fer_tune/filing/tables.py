"""The tables of a run that may be going on: written in one step, read in one state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fer_tune.errors import UserError
from fer_tune.filing.files import replacing


def read_table(file: Path, **options: Any) -> pa.Table:
    """Read a parquet file that its writer may replace meanwhile.

    Given a path, pyarrow opens it more than once, and may then read the pages of one state by the footer of another.

    Args:
        file: written by `write_table`.
        options: of `pyarrow.parquet.read_table`.

    Raises:
        UserError: it is not a parquet file, or damaged.
    """
    try:
        with file.open("rb") as source:
            return pq.read_table(source, **options)
    except pa.ArrowInvalid as error:
        raise UserError(f"{file}: not a parquet file ({error}); `fer-tune resume` writes it anew") from None


def write_table(rows: list[dict[str, Any]], columns: dict[str, pa.DataType], target: Path) -> None:
    """Write ``rows`` as parquet, atomically; ``config.*`` keys beyond ``columns`` follow them, in sorted order."""
    extra = sorted({key for row in rows for key in row if key not in columns})
    arrays = [pa.array([row.get(name) for row in rows], type=kind) for name, kind in columns.items()]
    arrays += [pa.array([row.get(name) for row in rows]) for name in extra]
    table = pa.Table.from_arrays(arrays, names=[*columns, *extra])
    with replacing(target) as temporary:
        pq.write_table(table, temporary)
