"""The images of a table without labels, such as the ``test.csv`` of FER2013's challenge: what is to be predicted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fer_tune.data.preparing.readers.base import Fault, Pixels, UnreadableError
from fer_tune.data.preparing.readers.tables.cells import Cell, face_of, load_cell
from fer_tune.data.preparing.readers.tables.columns import find_columns
from fer_tune.data.preparing.readers.tables.files import open_table
from fer_tune.data.preparing.readers.tables.pictures import Pictures
from fer_tune.errors import UserError


def table_images(file: Path, faults: list[Fault]) -> Iterator[tuple[str, Pixels]]:
    """Yield the name (file:line) and the pixels, (H, W) or (H, W, 3), of each row of ``file``.

    Args:
        file: the table.
        faults: gets the rows that cannot be read, which are passed over.

    Raises:
        UserError: no column holds images.
    """
    table = open_table(file)
    columns = find_columns(table.names, binary=table.binary)
    if not columns.has_image:
        raise UserError(f"{file}: no column with images (path, bytes or pixels); there are {', '.join(table.names)}")
    pictures = Pictures(file.parent)
    by_path = columns.path if not (columns.image or columns.pixels) else None
    for row in table.rows([*([by_path] if by_path else []), *columns.box, *columns.landmarks]):
        try:
            if row.fault:
                raise UnreadableError(row.fault)
            picture = pictures.find(str(row.values[by_path]), file.parent) if by_path else None
            yield row.source, load_cell(Cell(table, row.place, columns, picture, *face_of(row.values, columns)))
        except UnreadableError as error:
            faults.append(Fault(row.source, str(error)))
