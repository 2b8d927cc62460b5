"""Any other tree of folders: ``<split>/<class>/``, ``<class>/<split>/`` or ``<class>/``, any class names, any size.

Images may stand in further folders below their class. Names of emotions are brought to one spelling, others kept.
"""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.general import names, persons
from fer_tune.data.preparing.readers.trees.labelled import classes_in, read_tree
from fer_tune.data.preparing.readers.trees.levels import tree_at
from fer_tune.errors import UserError

FORMAT = "folders"
NEEDS = "a folder with <split>/<class>/ (train, val, test) or <class>/, at least two classes of images"


def recognises(path: Path) -> bool:
    """Tell whether folders of two classes stand below ``path``, and no people above emotions or emotions in names."""
    if not path.is_dir() or persons.recognises(path) or names.recognises(path):
        return False
    try:
        return len(classes_in(tree_at(path))) > 1
    except UserError:  # told when it is read
        return True


def holds_images(path: Path) -> bool:
    """Tell whether there are images below ``path`` at all."""
    return path.is_dir() and bool(tree_at(path).holding)


def read(path: Path) -> RawDataset:
    """Scan the folders.

    Raises:
        UserError: a class folder is empty or misspelt, a split lacks a train folder, or there is only one class.
    """
    if not path.is_dir() or not (tree := tree_at(path)).holding:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    return read_tree(tree)
