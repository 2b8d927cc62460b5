"""RAF-DB as folders: ``train/{1..7}/*_aligned.jpg`` and ``test/{1..7}/*_aligned.jpg``, often in ``DATASET/``.

Some copies have ``valid/`` too. Files without ``_aligned`` are RAF-DB's where a folder around them is called so.

Copies have ``train_labels.csv`` and ``test_labels.csv`` beside (``image,label``); the folders decide, and where the
csv files say otherwise that is told.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from fer_tune.amounts import amount
from fer_tune.data.labels import EMOTIONS
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.published.raf_db.codes import CODES, NAME, POLICY
from fer_tune.data.preparing.readers.trees.images import decode, folders_in, image_files, readable
from fer_tune.data.preparing.readers.trees.parts import find_root, published, split_folders
from fer_tune.errors import UserError

FORMAT = "raf-db-folders"
NEEDS = "a folder (or DATASET/ in it) with train/1/ to train/7/ and test/1/ to test/7/ of *_aligned.jpg"

_ALIGNED = re.compile(r"(train|test|val|valid)_\d+_aligned\.\w+", re.ASCII)
_TITLE = re.compile(r"raf[-_ ]?(db|basic)", re.IGNORECASE)


def recognises(path: Path) -> bool:
    """Tell whether ``path``, or DATASET/ or the only folder in it, has numbered folders of aligned faces."""
    return _root(path) is not None


def read(path: Path) -> RawDataset:
    """Scan the folders.

    Raises:
        UserError: a class folder is missing, empty or no code.
    """
    root = _root(path)
    if root is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    samples: list[Sample] = []
    faults: list[Fault] = []
    notes: list[str] = []
    lists: list[Path] = []
    given = split_folders(root)
    used, policy = published({folder.name: part for folder, part in given.items()})
    if set(given.values()) == {"train", "test"}:
        policy = POLICY
    for split in given:
        part = used[split.name]
        for code, folder in _class_folders(split).items():
            files, broken, _ = image_files(folder)
            if not files:
                raise UserError(f"{folder}: no images in it; it should hold those of {CODES[code]}")
            label = EMOTIONS.index(CODES[code])
            samples += [Sample(readable(file.relative_to(root)), label, part, file) for file in files]
            faults += [Fault(readable(Path(fault.source).relative_to(root)), fault.reason) for fault in broken]
        notes += _contradictions(root, split.name, samples, lists)
    return RawDataset(NAME, EMOTIONS, samples, _load, policy, 3, faults, notes, files=lists)


def _load(sample: Sample) -> Pixels:
    return decode(sample.place, 3)


def _root(path: Path) -> Path | None:
    return find_root(path, _fits) or find_root(path / "DATASET", _fits)


def _fits(root: Path) -> bool:
    for split, part in split_folders(root).items():
        if part == "train":
            names = [file.name for code in CODES for file in _images(split / code)]
            is_titled = any(_TITLE.search(name) for name in (root.name, root.resolve().parent.name))
            if any(_ALIGNED.fullmatch(name) for name in names) or (names and is_titled):
                return True
    return False


def _images(folder: Path) -> list[Path]:
    return image_files(folder)[0] if folder.is_dir() else []


def _class_folders(folder: Path) -> dict[str, Path]:
    found = {entry.name: entry for entry in folders_in(folder)}
    strange = [name for name in found if name not in CODES]
    if strange:
        raise UserError(f"{found[strange[0]]}: no class of RAF-DB is called so; they are 1 to 7")
    missing = [f"{code} ({emotion})" for code, emotion in CODES.items() if code not in found]
    if missing:
        raise UserError(f"{folder}: no folder {', '.join(missing)}; RAF-DB has 1 to 7")
    return found


def _contradictions(root: Path, split: str, samples: list[Sample], lists: list[Path]) -> list[str]:
    """Compare the folders with the csv of labels beside them, where there is one; add it to ``lists``."""
    file = next((found for at in (root, root.parent) if (found := at / f"{split}_labels.csv").is_file()), None)
    if file is None:
        return []
    lists.append(file)
    with file.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        listed = {row[0].strip(): row[1].strip() for row in csv.reader(stream) if len(row) == 2}
    differing = [
        sample.source
        for sample in samples
        if sample.source.startswith(f"{split}/")
        and (code := listed.get(Path(sample.place).name)) is not None
        and CODES.get(code) != EMOTIONS[sample.label]
    ]
    if not differing:
        return []
    told = amount(len(differing), "image")
    return [f"{file.name} gives {told} another label than the folder, which decides: {differing[0]}"]
