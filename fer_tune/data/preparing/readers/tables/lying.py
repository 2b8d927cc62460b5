"""What lies where no dataset was recognised: the tables and archives that are there, and why they were not read."""

from __future__ import annotations

from pathlib import Path

from fer_tune.amounts import amount
from fer_tune.data.preparing.readers.tables.columns import find_columns
from fer_tune.data.preparing.readers.tables.files import SUFFIXES, TextTable, open_table
from fer_tune.data.preparing.readers.trees.images import SUFFIXES as IMAGES
from fer_tune.data.preparing.readers.trees.images import is_junk, readable
from fer_tune.errors import UserError
from fer_tune.filing.first_bytes import told_by_content

_MOST = 5  # files that are told
_WIDEST = 6  # columns that are named
_LONGEST = 30  # characters of a name


def lying_there(path: Path) -> list[str]:
    """Return sentences on the file ``path``, or on the tables and archives right in that folder.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_file():
        return [sentence] if (sentence := _told(path)) else []
    files = sorted(file for file in path.iterdir() if file.is_file() and not is_junk(file.name))
    told = [sentence for file in files if file.suffix.lower() not in IMAGES and (sentence := _told(file))]
    return told[:_MOST] + ([f"and {amount(len(told) - _MOST, 'more file')}"] if len(told) > _MOST else [])


def _told(file: Path) -> str:
    name = readable(file.name)
    if file.suffix.lower() in IMAGES:
        return f"{name} is a single picture; name the folder that holds those of its classes"
    if told := told_by_content(file):
        as_it_is = told.startswith(("a zip", "a tar"))  # what is told there is for weights, which are a single file
        return f"{name} is {told.partition(';')[0]}: name it as it is" if as_it_is else f"{name} is {told}"
    if file.suffix.lower() not in SUFFIXES:
        return ""
    try:
        table = open_table(file)
    except UserError as error:
        return str(error)
    if isinstance(table, TextTable) and table.fault:
        return f"{name} was not read: {table.fault}"
    columns = find_columns(table.names, binary=table.binary)
    missing = [what for what, there in (("image", columns.has_image), ("label", columns.has_label)) if not there]
    if not missing:
        return ""
    named = ", ".join(each if len(each) <= _LONGEST else f"{each[:_LONGEST]}..." for each in table.names[:_WIDEST])
    more = f" and {len(table.names) - _WIDEST} more" if len(table.names) > _WIDEST else ""
    said = ",".join(f"{'path' if what == 'image' else what}=COLUMN" for what in missing)
    return (
        f"{name} names no column of the {' and '.join(missing)} that is known; its first line has {readable(named)}"
        f"{more}. Say which it is with --columns {said}, or write a first line with names where there is none"
    )
