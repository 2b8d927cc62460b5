"""FER2013 as folders: ``train/<class>/*.jpg`` and ``test/<class>/*.jpg``, 48x48 grey.

File names usually keep the official part (``Training_7.jpg``, ``PublicTest_8.jpg``, ``PrivateTest_9.jpg``); where
they do, it decides. In renamed copies the folders decide.
"""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from fer_tune.data.labels import EMOTIONS, canonical
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.fer2013 import NAME, PARTS, SIDE, official_parts
from fer_tune.data.preparing.readers.images import decode, folders_in, header, image_files, readable
from fer_tune.data.preparing.readers.trees import SPLIT_FOLDERS, find_root, split_folders
from fer_tune.errors import UserError, nearest

FORMAT = "fer2013-folders"
NEEDS = f"a folder with train/<class>/ and test/<class>/, classes {', '.join(EMOTIONS)}"

_PROBED = 20  # image files whose headers are tried, until one can be read
_OFFICIAL = re.compile(rf"({'|'.join(PARTS)})_\d+", re.ASCII)


def recognises(path: Path) -> bool:
    """Tell whether ``path`` (or the only folder in it) has a train folder with folders of emotions, 48x48 pixels.

    Opens one image: trees of the same names with images of another size are no FER2013.
    """
    root = _root(path)
    if root is None:
        return False
    first = (file for folder in split_folders(root) for entry in folders_in(folder) for file in image_files(entry)[0])
    known = next((info for file in islice(first, _PROBED) if (info := header(file))), None)
    return known is None or known[:2] == (SIDE, SIDE)


def read(path: Path) -> RawDataset:
    """Scan the folders.

    Raises:
        UserError: a class folder is missing, empty or misspelt, or there are no training or no test images.
    """
    root = _root(path)
    if root is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    entries: list[tuple[Path, int, str]] = []  # file, label, split by its folder
    faults: list[Fault] = []
    others = 0
    for folder in split_folders(root):
        for label, class_folder in enumerate(_class_folders(folder)):
            files, broken, passed = image_files(class_folder)
            if not files:
                raise UserError(f"{class_folder}: no images in it; every class needs some, or remove {folder.name}")
            entries += [(file, label, SPLIT_FOLDERS[folder.name.lower()]) for file in files]
            faults += [Fault(readable(Path(fault.source).relative_to(root)), fault.reason) for fault in broken]
            others += passed
    named = [_OFFICIAL.match(file.name) for file, _, _ in entries]
    notes = [f"{others} files passed over, not images by their name"] if others else []
    if all(named):
        parts = [match[1] for match in named if match]
        split_of, policy = official_parts(set(parts))
        splits = [split_of[part] for part in parts]
    else:
        splits = [split for _, _, split in entries]
        policy = "folders: file names do not keep the official parts, so that the folders decide"
        if "test" not in splits and "val" in splits:
            splits = ["test" if split == "val" else split for split in splits]
    samples = [
        Sample(readable(file.relative_to(root)), label, split, file)
        for (file, label, _), split in zip(entries, splits, strict=True)
    ]
    return RawDataset(NAME, EMOTIONS, samples, _load, policy, faults=faults, notes=notes)


def _load(sample: Sample) -> Pixels:
    return decode(sample.place, 1)


def _root(path: Path) -> Path | None:
    """Return ``path``, or the only folder in it, whichever holds a train folder with an emotion in it."""
    return find_root(path, _fits)


def _fits(root: Path) -> bool:
    trains = [folder for folder in split_folders(root) if SPLIT_FOLDERS[folder.name.lower()] == "train"]
    return any(canonical(entry.name) for folder in trains for entry in folders_in(folder))


def _class_folders(folder: Path) -> list[Path]:
    """Return the folders of the seven classes, in the order of the classes."""
    found: dict[str, Path] = {}
    for entry in folders_in(folder):
        name = canonical(entry.name)
        if name is None:
            hint = nearest(entry.name.lower(), EMOTIONS) or f"the classes are {', '.join(EMOTIONS)}"
            raise UserError(
                f"{entry}: no class of FER2013 is called so; {hint} (or --format folders, if it is another dataset)"
            )
        if name in found:
            raise UserError(f"{entry}: the same class as {found[name].name}; merge the two folders")
        found[name] = entry
    missing = [name for name in EMOTIONS if name not in found]
    if missing:
        raise UserError(f"{folder}: no folder for {', '.join(missing)}; FER2013 has {', '.join(EMOTIONS)}")
    return [found[name] for name in EMOTIONS]
