"""Readers of raw datasets, one module per format, and the recognition among them.

A new format is a module with ``FORMAT``, ``NEEDS``, ``recognises`` and ``read`` (see
:class:`~fer_tune.data.preparing.readers.base.Reader`), added to :data:`READERS`.
"""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.preparing.readers import fer2013_csv, fer2013_folders, ferg, folders, raf_folders, raf_official
from fer_tune.data.preparing.readers.base import RawDataset, Reader
from fer_tune.errors import UserError, nearest

READERS: tuple[Reader, ...] = (fer2013_csv, fer2013_folders, raf_official, raf_folders, ferg, folders)
"""In the order in which they are asked; the most general comes last."""


def read_raw(path: Path, format_name: str | None = None) -> tuple[str, RawDataset]:
    """Recognise the raw dataset at ``path`` and scan it; return the format's name and the dataset.

    Args:
        path: a file or folder.
        format_name: the format, where recognition shall be skipped.

    Raises:
        UserError: there is nothing at ``path``, no format fits (with what each one looks for), or the dataset has
            a fault that cannot be skipped.
    """
    known = {reader.FORMAT: reader for reader in READERS}
    looked_for = "\n".join(f"  {name}: {reader.NEEDS}" for name, reader in known.items())
    if format_name is not None and format_name not in known:
        hint = nearest(format_name, known)
        raise UserError(f"--format {format_name}: no such format; {hint or 'the formats are ' + ', '.join(known)}")
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    try:
        if format_name is not None:
            return format_name, known[format_name].read(path)
        for reader in READERS:
            if reader.recognises(path):
                return reader.FORMAT, reader.read(path)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read: {error.strerror}") from None
    raise UserError(f"{path}: not a dataset that fer-tune knows; it looked for\n{looked_for}")
