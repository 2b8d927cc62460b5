"""Trees with a folder for each person above those of the emotions, such as Oulu-CASIA's ``VL/Strong/P001/Anger/``.

Source: Zhao et al. 2011, "Facial expression recognition from near-infrared videos" (Oulu-CASIA NIR&VIS: 80 people, six
emotions, two cameras, three lightings); the same shape is common. A person stays in one split over all cameras and
lightings.
"""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.trees.labelled import read_tree
from fer_tune.data.preparing.readers.trees.levels import tree_at, understood
from fer_tune.errors import UserError

FORMAT = "persons"
NEEDS = "a folder with <person>/<emotion>/ of images, in folders of splits, cameras or lightings or not"


def recognises(path: Path) -> bool:
    """Tell whether emotions stand below people, or below at least three folders of no known meaning."""
    if not path.is_dir():
        return False
    try:
        levels = understood(tree_at(path))
    except UserError:  # told when it is read
        return False
    return levels.people is not None and levels.emotions is not None and levels.people < levels.emotions


def read(path: Path) -> RawDataset:
    """Scan the folders.

    Raises:
        UserError: no people stand above emotions, or the levels contradict each other.
    """
    if not recognises(path):
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    return read_tree(tree_at(path))
