"""Any other tree of folders: ``<split>/<class>/`` or ``<class>/``, any class names, any size, grey or RGB.

Images may stand in further folders below their class. Classes keep the names of their folders, sorted.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Literal

from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.images import SUFFIXES, decode, folders_in, header, images_below, readable
from fer_tune.data.preparing.readers.trees import SPLIT_FOLDERS, find_root, split_folders
from fer_tune.errors import UserError, nearest

FORMAT = "folders"
NEEDS = "a folder with <split>/<class>/ (train, val, test) or <class>/, at least two classes of images"

_PROBED = 20  # image files of a class whose headers are tried, until one can be read


def recognises(path: Path) -> bool:
    """Tell whether ``path``, or the only folder in it, has at least two class folders with images in them."""
    return find_root(path, _fits) is not None


def read(path: Path) -> RawDataset:
    """Scan the folders.

    Raises:
        UserError: a class folder is empty or misspelt, a split lacks a train folder, or there is only one class.
    """
    root = find_root(path, _fits)
    if root is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    parts = {folder: SPLIT_FOLDERS[folder.name.lower()] for folder in split_folders(root)} or {root: ""}
    parts, policy = _as_splits(root, parts)
    named: dict[str, list[Path]] = {}  # class -> its folder in each split
    for folder, part in sorted(parts.items(), key=lambda item: item[1] != "train"):
        for entry in folders_in(folder):
            if part not in ("train", "") and entry.name not in named:
                hint = nearest(entry.name, named) or f"the classes are {', '.join(map(repr, named))}"
                raise UserError(f"{entry}: train has no class of this name; {hint}")
            named.setdefault(entry.name, []).append(entry)
    classes = sorted(named)
    if len(classes) < 2:
        raise UserError(f"{root}: only one class, {classes[0]!r}; there must be two or more")
    samples: list[Sample] = []
    faults: list[Fault] = []
    others, coloured = 0, False
    for label, name in enumerate(classes):
        for folder in named[name]:
            files, broken, passed = images_below(folder)
            if not files:
                raise UserError(f"{folder}: no images in it; every class needs some, or remove the folder")
            part = parts[folder.parent]
            samples += [Sample(readable(file.relative_to(root)), label, part, file) for file in files]
            faults += [Fault(readable(Path(fault.source).relative_to(root)), fault.reason) for fault in broken]
            others += passed
            coloured |= _coloured(files)
    notes = [f"{others} files passed over, not images by their name"] if others else []
    for folder in parts:
        missing = [name for name in classes if folder not in [entry.parent for entry in named[name]]]
        if missing:
            notes.append(f"{readable(folder.relative_to(root))} has no folder for {', '.join(missing)}")
    channels: Literal[1, 3] = 3 if coloured else 1
    escaped = tuple(readable(Path(name)) for name in classes)
    return RawDataset(readable(Path(root.name)), escaped, samples, _load, policy, channels, faults, notes)


def _load(sample: Sample) -> Pixels:
    return decode(sample.place)


def _fits(root: Path) -> bool:
    for folder in split_folders(root) or [root]:
        if len(list(islice(filter(_holds_images, folders_in(folder)), 2))) == 2:
            return True
    return False


def _holds_images(folder: Path) -> bool:
    return any(Path(name).suffix.lower() in SUFFIXES for _, _, names in os.walk(folder) for name in names)


def _coloured(files: list[Path]) -> bool:
    """Tell whether the first image whose header can be read is coloured."""
    found = next((info for file in islice(files, _PROBED) if (info := header(file))), None)
    return found is not None and not found[2]


def _as_splits(root: Path, parts: dict[Path, str]) -> tuple[dict[Path, str], str]:
    """Return which folder serves as which split, and a sentence about it."""
    names = set(parts.values())
    if names == {""}:
        return parts, "nothing is published"
    if "train" not in names:
        found = " and ".join(folder.name for folder in parts)
        raise UserError(f"{root}: there is {found}, but no train folder; name the training images so")
    if names == {"train"}:
        return dict.fromkeys(parts, ""), "nothing is published but a train folder"
    if "test" not in names:
        as_test = {folder: "train" if part == "train" else "test" for folder, part in parts.items()}
        return as_test, "published: the folders; there is no test, so the test is val"
    return parts, f"published: the folders {', '.join(sorted(readable(Path(folder.name)) for folder in parts))}"
