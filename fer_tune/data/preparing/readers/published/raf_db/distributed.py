"""RAF-DB as its authors hand it out: a list of labels and a folder of aligned faces.

``EmoLabel/list_patition_label.txt`` (spelt so) has lines ``train_00001.jpg 5``; that image is
``Image/aligned/train_00001_aligned.jpg``. Both stand in ``basic/`` or ``raf-basic/``. Some copies have the split as a
third word. Where there are no aligned faces, they are aligned here, from ``Image/original/`` and the points in
``Annotation/manual/``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from fer_tune.amounts import amount
from fer_tune.data.labels import EMOTIONS
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample, UnreadableError
from fer_tune.data.preparing.readers.published.raf_db.codes import CODES, NAME, POLICY
from fer_tune.data.preparing.readers.published.raf_db.originals import aligned_original, cut_original, original
from fer_tune.data.preparing.readers.trees.images import decode, readable
from fer_tune.data.preparing.readers.trees.parts import find_root, published, split_of
from fer_tune.errors import UserError

FORMAT = "raf-db"
NEEDS = "a folder (or basic/ or raf-basic/ in it) with EmoLabel/list_patition_label.txt and Image/aligned/ or original/"

_LISTS = ("list_patition_label.txt", "list_partition_label.txt")  # as published, and as some copies correct it
_NAME = re.compile(r"(train|test)_[^/\\]+", re.DOTALL)


def recognises(path: Path) -> bool:
    """Tell whether there is a label list at ``path``, or in ``basic/`` or ``raf-basic/`` below it."""
    return _root(path) is not None


def read(path: Path) -> RawDataset:
    """Scan the label list.

    Raises:
        UserError: there is no label list, or no folder of images.
    """
    root = _root(path)
    if root is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    file = _list_in(root)
    folder = next((found for kind in ("aligned", "original") if (found := root / "Image" / kind).is_dir()), None)
    if file is None or folder is None:
        raise UserError(f"{root / 'Image' / 'aligned'}: no such folder; unpack aligned.zip of RAF-DB there")
    is_cut = folder.name == "aligned"
    below, present = f"Image/{folder.name}", set(os.listdir(folder))
    samples: list[Sample] = []
    faults: list[Fault] = []
    first: dict[str, int] = {}  # image -> line
    unread = 0
    for line, raw in enumerate(file.read_bytes().splitlines(), start=1):
        if not raw.strip():
            continue
        try:
            name, label, part = parse_line(raw)
            words = raw.split()
            unread += len(words) > 2 and split_of(os.fsdecode(words[2])) is None
            plain = PurePosixPath(name)
            image = f"{plain.stem}_aligned{plain.suffix}" if is_cut else name
            if name in first:
                raise UnreadableError(f"names {name} again, after line {first[name]}")
            first[name] = line
            if image not in present:
                raise UnreadableError(f"names {name}, but there is no {below}/{image}")
        except UnreadableError as error:
            faults.append(Fault(f"{file.name}:{line}", readable(str(error))))
        else:
            present.discard(image)
            place = folder / image if is_cut else original(root, name)
            samples.append(Sample(readable(Path(below, image)), label, part, place))
    notes = [f"{amount(len(present), 'file')} in {below} of which {file.name} says nothing"] if present else []
    if unread:
        notes.append(f"the third column of {file.name} is not read: no split in {unread:,} lines")
    used, policy = published({sample.part: sample.part for sample in samples})
    samples = [sample._replace(part=used[sample.part]) for sample in samples]
    policy = POLICY if set(used) == {"train", "test"} else policy
    load, aligned = (_load, None) if is_cut else (cut_original, aligned_original)
    marks = [] if is_cut else [mark for sample in samples for mark in (sample.place.points, sample.place.box)]
    return RawDataset(NAME, EMOTIONS, samples, load, policy, 3, faults, notes, files=[file, *marks], aligned=aligned)


def parse_line(raw: bytes) -> tuple[str, int, str]:
    """Return file name, label (index into EMOTIONS) and part of one line of the label list.

    A third word that means a split, as some copies have it, goes before the part in the file's name.

    Raises:
        UnreadableError: it is not a name and a code, the name tells no part, or the code is unknown.
    """
    words = os.fsdecode(raw).split()
    if len(words) not in (2, 3):
        raise UnreadableError(f"{len(words)} words, expected a file name and a code")
    name, code = words[:2]
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnreadableError(f"{name!r} is not named train_... or test_...")
    if code not in CODES:
        raise UnreadableError(f"unknown emotion {code!r}, the codes are 1 to 7")
    split = split_of(words[2]) if len(words) == 3 else None
    return name, EMOTIONS.index(CODES[code]), {"eval": "val"}.get(split or "", split) or match[1]


def _load(sample: Sample) -> Pixels:
    return decode(sample.place, 3)


def _root(path: Path) -> Path | None:
    for inner in (path, path / "basic", path / "raf-basic"):
        root = find_root(inner, lambda folder: _list_in(folder) is not None)
        if root is not None:
            return root
    return None


def _list_in(root: Path) -> Path | None:
    return next((root / "EmoLabel" / name for name in _LISTS if (root / "EmoLabel" / name).is_file()), None)
