"""AffectNet as numbered folders: ``train/0/`` to ``train/7/``, ``val/0/`` to ``val/7/``.

Source: see `codes`. Numbers alone do not say whose codes they are: they
are recognised where a folder around them is called after AffectNet, and else read with ``--format affectnet-folders``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fer_tune.amounts import amount
from fer_tune.data.preparing.readers.base import Fault, RawDataset, Sample
from fer_tune.data.preparing.readers.published.affectnet import as_csv as affectnet_csv
from fer_tune.data.preparing.readers.published.affectnet.codes import CODES, EMPTY, NAME
from fer_tune.data.preparing.readers.trees.by_name import load_file
from fer_tune.data.preparing.readers.trees.images import coloured, image_files, readable
from fer_tune.data.preparing.readers.trees.levels import Tree, tree_at
from fer_tune.data.preparing.readers.trees.parts import parts_among, published
from fer_tune.errors import UserError

FORMAT = "affectnet-folders"
NEEDS = "folders <split>/0/ to <split>/7/, in a folder called after AffectNet"


def recognises(path: Path) -> bool:
    """Tell whether all images stand in folders of AffectNet's codes, 0 among them, and a folder's name says whose."""
    if not path.is_dir():
        return False
    tree = tree_at(path)
    named = any("affect" in part.lower() for part in (*path.resolve().parts[-2:], tree.root.name))
    return named and _fits(tree) and not affectnet_csv.recognises(path)


def read(path: Path) -> RawDataset:
    """Scan the folders; those of no emotion (8 to 10) are left out.

    Raises:
        UserError: a folder is no code.
    """
    tree = tree_at(path) if path.is_dir() else None
    if tree is None or not _fits(tree):
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    parts = parts_among(tree.names(0))
    used, policy = published({names[0]: parts[names[0]] for names in tree.holding if parts} or {"": ""})
    classes = tuple(sorted({CODES[names[-1]] for names in tree.holding} - {""}))
    samples: list[Sample] = []
    faults: list[Fault] = list(tree.loops)
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    is_coloured = False
    for names in sorted(tree.holding):
        images, broken, _ = image_files(tree.path(names))
        faults += [Fault(readable(Path(fault.source).relative_to(tree.root)), fault.reason) for fault in broken]
        is_coloured = is_coloured or coloured(images)
        if names[-1] in EMPTY:
            left_out[names[-1]] += len(images)
            files += images
            continue
        label = classes.index(CODES[names[-1]])
        part = used[names[0] if parts else ""]
        samples += [Sample(readable(image.relative_to(tree.root)), label, part, image) for image in images]
    meaning = ", ".join(f"{code} {name}" for code, name in CODES.items() if name)
    notes = [
        f"the folders are read as AffectNet's codes: {meaning}",
        *(f"left out: {amount(count, 'image')}, {EMPTY[code]}" for code, count in sorted(left_out.items())),
    ]
    return RawDataset(NAME, classes, samples, load_file, policy, 3 if is_coloured else 1, faults, notes, files=files)


def _fits(tree: Tree) -> bool:
    parts = parts_among(tree.names(0))
    depth = 2 if parts else 1
    names = list(tree.holding)
    return (
        all(len(each) == depth and each[-1] in CODES and (not parts or each[0] in parts) for each in names)
        and len({each[-1] for each in names} - EMPTY.keys()) > 1
        and any(each[-1] == "0" for each in names)
    )
