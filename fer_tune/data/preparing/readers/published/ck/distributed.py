"""CK+ as it is distributed: ``cohn-kanade-images/S010/004/*.png`` and ``Emotion/S010/004/*_emotion.txt``.

Source: see `codes`; the file of an emotion holds ``3.0000000e+00``. The last three
frames of every sequence that has one are read, as most of the literature does; the first ones are neutral, and are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fer_tune.data.preparing.readers.base import Fault, RawDataset, Sample
from fer_tune.data.preparing.readers.published.ck.codes import CODES, NAME
from fer_tune.data.preparing.readers.trees.by_name import load_file
from fer_tune.data.preparing.readers.trees.images import coloured, image_files, readable
from fer_tune.data.preparing.readers.trees.parts import find_root
from fer_tune.errors import UserError

FORMAT = "ckplus"
NEEDS = "a folder with cohn-kanade-images/S010/004/*.png and Emotion/S010/004/*_emotion.txt"

_IMAGES = ("cohn-kanade-images", "extended-cohn-kanade-images", "images")
_PEAK = 3  # frames at the end of a sequence


def recognises(path: Path) -> bool:
    """Tell whether there are folders of images and of emotions, of the same people."""
    return find_root(path, lambda root: _folders(root) is not None) is not None


def read(path: Path) -> RawDataset:
    """Scan the sequences with an emotion.

    Raises:
        UserError: there are none.
    """
    root = find_root(path, lambda folder: _folders(folder) is not None)
    found = _folders(root) if root else None
    if root is None or found is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    images, emotions = found
    labelled: list[tuple[str, str, Path]] = []  # person, emotion, frame
    faults: list[Fault] = []
    files: list[Path] = []
    for file in sorted(emotions.glob("*/*/*_emotion.txt")):
        files.append(file)
        code = _code(file)
        frames = image_files(images / file.parent.relative_to(emotions))[0] if code else []
        if code is None:
            faults.append(Fault(readable(file.relative_to(root)), "no emotion from 0 to 7 in it"))
        elif not frames:
            faults.append(Fault(readable(file.relative_to(root)), "there are no frames of this sequence"))
        else:
            labelled += [(file.parent.parent.name.upper(), CODES[code], frame) for frame in frames[-_PEAK:]]
    classes = tuple(sorted({emotion for _, emotion, _ in labelled}))
    if len(classes) < 2:
        raise UserError(f"{emotions}: no sequences of two emotions or more; CK+ has one *_emotion.txt a sequence")
    samples = [
        Sample(readable(frame.relative_to(root)), classes.index(emotion), "", frame, person)
        for person, emotion, frame in labelled
    ]
    channels: Literal[1, 3] = 3 if any(coloured([frame]) for _, _, frame in labelled) else 1  # few are in colour
    notes = [f"the last {_PEAK} frames of each of {len(files):,} sequences with an emotion; no neutral first frames"]
    return RawDataset(
        NAME,
        classes,
        samples,
        load_file,
        "nothing is published",
        channels,
        faults,
        notes,
        files=files,
        people="the folders of people",
    )


def _folders(root: Path) -> tuple[Path, Path] | None:
    named = {entry.name.lower(): entry for entry in root.iterdir() if entry.is_dir()} if root.is_dir() else {}
    images = next((named[name] for name in _IMAGES if name in named), None)
    emotions = next((named[name] for name in ("emotion", "emotion_labels", "emotions") if name in named), None)
    if images is None or emotions is None:
        return None
    inner = find_root(emotions, lambda folder: any(folder.glob("*/*/*_emotion.txt")))
    return (images, inner) if inner else None


def _code(file: Path) -> str | None:
    try:
        number = float(file.read_text(encoding="ascii", errors="replace").split()[0])
    except (ValueError, IndexError):
        return None
    return str(int(number)) if number == int(number) and str(int(number)) in CODES else None
