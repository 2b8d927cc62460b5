"""CK+48: CK+ as it is passed on, ``<emotion>/S010_004_00000017.png``: the last three frames of each sequence, 48x48.

Source: see `codes`. The frames of a sequence are nearly the same picture, so that the
person in the file name is the group.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fer_tune.data.labels import canonical
from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.published.ck.codes import FRAME, NAME
from fer_tune.data.preparing.readers.trees.by_name import mostly_named
from fer_tune.data.preparing.readers.trees.labelled import read_tree
from fer_tune.data.preparing.readers.trees.levels import tree_at, understood
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
    """Scan the folders of emotions; images that are not named as frames are not read.

    Raises:
        UserError: it is no tree of emotions.
    """
    if not recognises(path):
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    raw = read_tree(tree_at(path))
    classes = tuple(name for name in raw.classes if canonical(name))
    samples = [
        sample._replace(group=frame["person"].upper(), label=classes.index(raw.classes[sample.label]))
        for sample in raw.samples
        if (frame := FRAME.match(sample.place.name)) and raw.classes[sample.label] in classes
    ]
    return replace(raw, name=NAME, classes=classes, samples=samples, people="the file names (S010 is a person)")
