"""CK+48: CK+ as it is passed on, ``<emotion>/S010_004_00000017.png``: the last three frames of each sequence, 48x48.

Source: see :mod:`fer_tune.data.preparing.readers.ck`. The frames of a sequence are nearly the same picture, so that the
person in the file name is the group.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.by_name import mostly_named
from fer_tune.data.preparing.readers.ck import FRAME, NAME
from fer_tune.data.preparing.readers.labelled import read_tree
from fer_tune.data.preparing.readers.levels import tree_at, understood
from fer_tune.errors import UserError

FORMAT = "ck48"
NEEDS = "a folder with <emotion>/ of frames named like S010_004_00000017.png"


def recognises(path: Path) -> bool:
    """Tell whether most images are named as CK+ frames and stand in folders of emotions."""
    if not mostly_named(path, FRAME):
        return False
    try:
        return understood(tree_at(path)).emotions is not None
    except UserError:  # told when it is read
        return True


def read(path: Path) -> RawDataset:
    """Scan the folders; a frame whose name tells no person is a group of its own.

    Raises:
        UserError: it is no tree of emotions.
    """
    if not recognises(path):
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    raw = read_tree(tree_at(path))
    people = [re.match(FRAME, sample.place.name) for sample in raw.samples]
    samples = [
        sample._replace(group=person["person"].upper() if person else sample.source)
        for sample, person in zip(raw.samples, people, strict=True)
    ]
    return replace(raw, name=NAME, samples=samples, people="the file names (S010 is a person)")
