"""FERG-DB: ``<character>/<character>_<emotion>/*.png``, six stylised characters, 256x256 on transparent ground.

Source: Aneja et al. 2016, "Modeling Stylized Character Expressions via Deep Learning". 55,768 rendered frames of aia,
bonnie, jules, malcolm, mery and ray. Nothing is published as a split: neighbouring frames of an animation look alike,
so that a random split tests on near-duplicates of training images; leaving characters out does not.
"""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.labels import EMOTIONS, canonical
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.trees.images import decode, folders_in, image_files, readable
from fer_tune.data.preparing.readers.trees.parts import find_root
from fer_tune.errors import UserError, nearest

FORMAT = "ferg-db"
NEEDS = "a folder with <character>/<character>_<emotion>/*.png"
NAME = "ferg-db"


def recognises(path: Path) -> bool:
    """Tell whether ``path``, or the only folder in it, has a character with folders named after it and an emotion."""
    return find_root(path, _fits) is not None


def read(path: Path) -> RawDataset:
    """Scan the folders of every character.

    Raises:
        UserError: an emotion folder is empty, misspelt or missing for all characters.
    """
    root = find_root(path, _fits)
    if root is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    samples: list[Sample] = []
    faults: list[Fault] = []
    strangers: list[str] = []
    for character in folders_in(root):
        if not any(_emotion(folder, character.name) for folder in folders_in(character)):
            strangers.append(character.name)
            continue
        for folder in folders_in(character):
            label = _label(folder, character.name)
            files, broken, _ = image_files(folder)
            if not files:
                raise UserError(f"{folder}: no images in it; remove the folder if {character.name} has none of these")
            group = readable(Path(character.name))
            samples += [Sample(readable(file.relative_to(root)), label, "", file, group) for file in files]
            faults += [Fault(readable(Path(fault.source).relative_to(root)), fault.reason) for fault in broken]
    missing = [name for label, name in enumerate(EMOTIONS) if not any(sample.label == label for sample in samples)]
    if missing:
        raise UserError(f"{root}: no folder for {', '.join(missing)}; FERG-DB has seven emotions of each character")
    notes: list[str] = []
    if strangers:
        notes.append(f"folders passed over, not a character with its emotions: {', '.join(map(repr, strangers))}")
    return RawDataset(
        NAME, EMOTIONS, samples, _load, "nothing is published", 3, faults, notes, people="the folders of characters"
    )


def _load(sample: Sample) -> Pixels:
    return decode(sample.place, 3)


def _fits(root: Path) -> bool:
    return any(
        _emotion(folder, character.name) is not None
        for character in folders_in(root)
        for folder in folders_in(character)
    )


def _emotion(folder: Path, character: str) -> str | None:
    """Return the emotion that ``folder`` is named after, where it begins with the character's name."""
    name, start = folder.name.lower(), f"{character.lower()}_"
    return canonical(name.removeprefix(start)) if name.startswith(start) else None


def _label(folder: Path, character: str) -> int:
    emotion = _emotion(folder, character)
    if emotion is None:
        name = folder.name.lower().rpartition("_")[2]
        hint = nearest(name, (*EMOTIONS, "anger", "joy", "sadness")) or f"the emotions are {', '.join(EMOTIONS)}"
        raise UserError(f"{folder}: expected {character}_<emotion>; {hint}")
    return EMOTIONS.index(emotion)
