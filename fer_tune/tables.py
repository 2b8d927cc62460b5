"""Reading the tables of a run that may be going on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def read_table(file: Path, **options: Any) -> pa.Table:
    """Read a parquet file that its writer may replace meanwhile.

    Given a path, pyarrow opens it more than once, and may then read the pages of one state by the footer of another.

    Args:
        file: written by `fer_tune.run_folder.write_table`.
        options: of `pyarrow.parquet.read_table`.

    Raises:
        pyarrow.ArrowInvalid: it is not a parquet file.
    """
    with file.open("rb") as source:
        return pq.read_table(source, **options)
