"""Datasets whose file names tell the emotion and the person, in any folders; what their readers share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.trees.images import channels_of, decode, image_files, readable
from fer_tune.data.preparing.readers.trees.levels import Tree, tree_at, understood
from fer_tune.data.preparing.readers.trees.parts import published
from fer_tune.errors import UserError

_MOST = 0.5  # of the images must be named so, or it is another dataset


def mostly_named(path: Path, pattern: re.Pattern[str]) -> bool:
    """Tell whether most images below ``path`` have file names that ``pattern`` matches."""
    if not path.is_dir():
        return False
    names = [name for images in tree_at(path).holding.values() for name in images]
    return bool(names) and sum(bool(pattern.match(name)) for name in names) >= _MOST * len(names)


def read_named(
    path: Path,
    pattern: re.Pattern[str],
    codes: Mapping[str, str],
    person: Callable[[re.Match[str]], str],
    *,
    name: str,
    needs: str,
) -> RawDataset:
    """Scan the images below ``path`` whose names ``pattern`` matches; its group ``emotion`` is a key of ``codes``.

    Args:
        path: a folder, or one around it.
        pattern: of a file name.
        codes: code in upper case -> emotion.
        person: match -> who is shown.
        name: of the dataset.
        needs: what is looked for, for a message.

    Raises:
        UserError: no image is named so, or all show one emotion.
    """
    tree = tree_at(path) if path.is_dir() else None
    found: list[tuple[Path, str, str, str]] = []
    faults: list[Fault] = []
    split, parts = (None, {}) if tree is None else _splits(tree)
    for folders in sorted(tree.holding) if tree else ():
        part = parts.get(folders[split], "") if split is not None and len(folders) > split else ""
        files, broken, _ = image_files(tree.path(folders)) if tree else ([], [], 0)
        for file in files:
            if match := pattern.match(file.name):
                found.append((file, codes[match["emotion"].upper()], part, person(match)))
        faults += [Fault(readable(Path(fault.source).relative_to(tree.root)), fault.reason) for fault in broken if tree]
    classes = tuple(sorted({emotion for _, emotion, _, _ in found}))
    if tree is None or len(classes) < 2:
        raise UserError(f"{path}: not this format; it needs {needs}")
    used, policy = published({part: part for _, _, part, _ in found})
    samples = [
        Sample(readable(file.relative_to(tree.root)), classes.index(emotion), used[part], file, group)
        for file, emotion, part, group in found
    ]
    channels = channels_of(file for file, _, _, _ in found)
    return RawDataset(name, classes, samples, load_file, policy, channels, faults, people="the file names")


def load_file(sample: Sample) -> Pixels:
    """Decode the image file that is the sample's place."""
    return decode(sample.place)


def _splits(tree: Tree) -> tuple[int | None, dict[str, str]]:
    try:
        levels = understood(tree)
    except UserError:  # what the folders say beside does not matter here
        return None, {}
    return levels.split, levels.parts
