"""FER2013 as folders: ``train/<class>/Training_7.jpg`` and ``test/<class>/PublicTest_8.jpg``, 48x48 grey.

File names keep the official part (``Training_7.jpg``, ``PublicTest_8.jpg``, ``PrivateTest_9.jpg``), which decides
whatever folder they stand in. Renamed copies are FER2013 by their counts: 28,709 in train, 7,178 in test.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from fer_tune.data.labels import EMOTIONS, canonical
from fer_tune.data.preparing.readers.base import Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.published.fer2013.codes import COUNTS, NAME, official_parts, unlike
from fer_tune.data.preparing.readers.tables.pixel_rows import PARTS
from fer_tune.data.preparing.readers.trees.images import decode
from fer_tune.data.preparing.readers.trees.labelled import read_tree
from fer_tune.data.preparing.readers.trees.levels import Tree, tree_at, understood
from fer_tune.errors import UserError

FORMAT = "fer2013-folders"
NEEDS = f"a folder with train/<class>/Training_7.jpg and test/<class>/, classes {', '.join(EMOTIONS)}"

_OFFICIAL = re.compile(rf"({'|'.join(PARTS)})_\d+", re.ASCII)
_TESTED = COUNTS["PublicTest"] + COUNTS["PrivateTest"]


def recognises(path: Path) -> bool:
    """Tell whether the seven classes are there, by files with the official names or in the official numbers."""
    if not path.is_dir():
        return False
    tree = tree_at(path)
    try:
        levels = understood(tree)
    except UserError:
        return False
    at = levels.emotions
    if at is None or {canonical(names[at]) for names in tree.holding if len(names) > at} != set(EMOTIONS):
        return False
    return _has_counts(tree) or _has_names(tree)


def read(path: Path) -> RawDataset:
    """Scan the folders.

    Raises:
        UserError: a class folder is missing, empty or misspelt, or there are no training images.
    """
    if not recognises(path):
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS} (or --format folders, if it is another dataset)")
    raw = replace(read_tree(tree_at(path)), name=NAME, channels=1, load=_load, people="")
    named = [_OFFICIAL.match(sample.place.name) for sample in raw.samples]
    if not all(named):
        return replace(raw, policy=f"{raw.policy}; file names do not keep the official parts, the folders decide")
    parts = [match[1] for match in named if match]
    split_of, policy = official_parts(set(parts))
    samples = [sample._replace(part=split_of[part]) for sample, part in zip(raw.samples, parts, strict=True)]
    return replace(raw, samples=samples, policy=policy, warnings=[*raw.warnings, *unlike(Counter(parts))])


def _load(sample: Sample) -> Pixels:
    return decode(sample.place, 1)


def _has_counts(tree: Tree) -> bool:
    counts = tree.names(0)
    return sorted(counts.values()) in ([_TESTED, COUNTS["Training"]], sorted(COUNTS.values()))


def _has_names(tree: Tree) -> bool:
    """Tell whether every image of the folder that comes first is named officially."""
    return all(_OFFICIAL.match(name) for name in tree.holding[min(tree.holding)])
