"""Readers of raw datasets, one module per format, and the recognition among them.

A new format is a module with ``FORMAT``, ``NEEDS``, ``recognises`` and ``read`` (see
:class:`~fer_tune.data.preparing.readers.base.Reader`), added to :data:`READERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fer_tune.data.prepared.card import CARD_FILE
from fer_tune.data.preparing.readers.base import RawDataset, Reader
from fer_tune.data.preparing.readers.general import folders, names, persons, table, yolo
from fer_tune.data.preparing.readers.published import expw, ferg, jaffe, kdef
from fer_tune.data.preparing.readers.published.affectnet import (
    as_csv as affectnet_csv,
)
from fer_tune.data.preparing.readers.published.affectnet import (
    as_folders as affectnet_folders,
)
from fer_tune.data.preparing.readers.published.affectnet import (
    distributed as affectnet,
)
from fer_tune.data.preparing.readers.published.ck import (
    as_csv as ck_extended,
)
from fer_tune.data.preparing.readers.published.ck import (
    as_folders as ck48,
)
from fer_tune.data.preparing.readers.published.ck import (
    distributed as ck_plus,
)
from fer_tune.data.preparing.readers.published.fer2013 import (
    as_csv as fer2013_csv,
)
from fer_tune.data.preparing.readers.published.fer2013 import (
    as_folders as fer2013_folders,
)
from fer_tune.data.preparing.readers.published.fer2013 import (
    ferplus,
)
from fer_tune.data.preparing.readers.published.raf_db import (
    as_csv as raf_csv,
)
from fer_tune.data.preparing.readers.published.raf_db import (
    as_folders as raf_folders,
)
from fer_tune.data.preparing.readers.published.raf_db import (
    distributed as raf_official,
)
from fer_tune.data.preparing.readers.tables.lying import lying_there
from fer_tune.errors import UserError, nearest

GENERAL: tuple[Reader, ...] = (persons, names, folders, table)
"""Asked where no published dataset is recognised."""
READERS: tuple[Reader, ...] = (
    fer2013_csv,
    fer2013_folders,
    ferplus,
    raf_official,
    raf_folders,
    raf_csv,
    affectnet,
    affectnet_csv,
    affectnet_folders,
    ck_plus,
    ck48,
    ck_extended,
    jaffe,
    kdef,
    expw,
    ferg,
    yolo,
    *GENERAL,
)


def formats() -> str:
    """Return the names of all formats, for a message."""
    return ", ".join(reader.FORMAT for reader in READERS)


def read_raw(
    path: Path, format_name: str | None = None, columns: Mapping[str, str] | None = None
) -> tuple[str, RawDataset]:
    """Recognise the raw dataset at ``path`` and scan it; return the format's name and the dataset.

    Args:
        path: a file or folder.
        format_name: the format, where recognition shall be skipped.
        columns: what the columns of a table hold, where it was said; the format is then a table.

    Raises:
        UserError: there is nothing at ``path``, no format fits (with what each one looks for) or several do, or the
            dataset has a fault that cannot be skipped.
    """
    known = {reader.FORMAT: reader for reader in READERS}
    if format_name is not None and format_name not in known:
        hint = nearest(format_name, known) or f"the formats are {formats()}"
        raise UserError(f"--format {format_name}: no such format; {hint}")
    if columns and format_name not in (None, table.FORMAT):
        raise UserError(f"--columns and --format {format_name} contradict each other: columns are said of a table")
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    try:
        if columns:
            return table.FORMAT, table.read(path, columns)
        if reader := known[format_name] if format_name is not None else _recognised(path):
            return reader.FORMAT, reader.read(path)
        raise _unknown(path)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read: {error.strerror}") from None


def _recognised(path: Path) -> Reader | None:
    """Return the only reader that fits; a published dataset's goes before the general ones. None where none does.

    Raises:
        UserError: several fit.
    """
    for asked in ([reader for reader in READERS if reader not in GENERAL], GENERAL):
        fitting = [reader for reader in asked if reader.recognises(path)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            listed = "\n".join(f"  --format {reader.FORMAT}: {reader.NEEDS}" for reader in fitting)
            raise UserError(f"{path}: may be read in several ways; say which, or name one file or folder:\n{listed}")
    return None


def _unknown(path: Path) -> UserError:
    """Return what is said of what no reader knows: what it is, or what it misses, and what lies there."""
    if (path / CARD_FILE).is_file():
        return UserError(f"{path}: is prepared already ({CARD_FILE}); name it as --data of `fer-tune search`")
    hints = "".join(f"\n  {hint}" for hint in lying_there(path))
    if path.is_file() and hints:
        return UserError(f"{path}: no dataset:{hints}")
    if folders.holds_images(path):
        try:
            folders.read(path)  # says what it misses
        except UserError as error:
            return UserError(f"{error}{hints}")
    looked_for = "\n".join(f"  {reader.FORMAT}: {reader.NEEDS}" for reader in READERS)
    return UserError(f"{path}: not a dataset that fer-tune knows{hints or ''}\nIt looked for\n{looked_for}")
