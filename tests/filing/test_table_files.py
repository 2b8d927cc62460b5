"""Tables are read whole while their writer replaces them."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pyarrow as pa

from fer_tune.filing.tables import read_table, write_table

COLUMNS = {"name": pa.string(), "value": pa.float64()}


def test_a_table_that_is_replaced_meanwhile_is_read_in_one_of_its_states(tmp_path: Path) -> None:
    file, done = tmp_path / "t.parquet", threading.Event()
    states = [[{"name": "x" * width, "value": row} for row in range(width)] for width in (1, 400)]
    write_table(states[0], COLUMNS, file)

    def replace() -> None:
        for rows in itertools.cycle(states):
            if done.is_set():
                return
            write_table(rows, COLUMNS, file)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for _ in range(300):
            assert read_table(file, columns=["name", "value"]).to_pylist() in states
    finally:
        done.set()
        writer.join()
