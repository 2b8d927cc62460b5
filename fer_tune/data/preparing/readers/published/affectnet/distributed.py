"""AffectNet as it is distributed: ``train_set/images/7.jpg`` and ``train_set/annotations/7_exp.npy``, ``val_set/`` too.

Source: see `codes`; its readme: ``_exp.npy`` holds the expression,
``_val.npy``, ``_aro.npy`` and ``_lnd.npy`` valence, arousal and landmarks, 68 points in pixels of the cut-out face.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from fer_tune.amounts import amount
from fer_tune.data.labels import EIGHT
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample, UnreadableError
from fer_tune.data.preparing.readers.published.affectnet.codes import CODES, EMPTY, NAME, NOTE
from fer_tune.data.preparing.readers.tables.landmarks import aligned, five_of
from fer_tune.data.preparing.readers.trees.images import channels_of, decode, image_files, readable
from fer_tune.data.preparing.readers.trees.parts import find_root, published, split_folders
from fer_tune.errors import UserError

FORMAT = "affectnet"
NEEDS = "folders such as train_set/ and val_set/ with images/7.jpg and annotations/7_exp.npy"


class _Place(NamedTuple):
    file: Path
    landmarks: Path | None


def recognises(path: Path) -> bool:
    """Tell whether splits with annotations of this kind are at ``path``, or in the only folder in it."""
    return find_root(path, lambda root: bool(_sets(root))) is not None


def read(path: Path) -> RawDataset:
    """Scan the images and their annotations.

    Raises:
        UserError: there are none.
    """
    root = find_root(path, lambda folder: bool(_sets(folder)))
    if root is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    sets = _sets(root)
    used, policy = published({readable(folder.relative_to(root)) or ".": part for folder, part in sets.items()})
    samples: list[Sample] = []
    faults: list[Fault] = []
    files: list[Path] = []
    left_out: Counter[str] = Counter()
    channels: Literal[1, 3] = 1
    unmarked = 0
    for folder in sets:
        images, broken, _ = image_files(folder / "images")
        faults += [Fault(readable(Path(fault.source).relative_to(root)), fault.reason) for fault in broken]
        channels = max(channels, channels_of(images))
        for image in images:
            source = readable(image.relative_to(root))
            annotation = folder / "annotations" / f"{image.stem}_exp.npy"
            code = _code(annotation)
            if code is None:
                faults.append(Fault(source, f"no expression from 0 to 10 in annotations/{readable(annotation.name)}"))
                continue
            files.append(annotation)
            if code in EMPTY:
                left_out[code] += 1
                files.append(image)
                continue
            marks = folder / "annotations" / f"{image.stem}_lnd.npy"
            place = _Place(image, marks if marks.is_file() else None)
            unmarked += place.landmarks is None
            samples.append(
                Sample(source, EIGHT.index(CODES[code]), used[readable(folder.relative_to(root)) or "."], place)
            )
    files += [sample.place.landmarks for sample in samples if sample.place.landmarks]
    is_marked = unmarked < len(samples)
    notes = [NOTE, *(f"left out: {amount(count, 'image')}, {EMPTY[code]}" for code, count in sorted(left_out.items()))]
    if is_marked and unmarked:
        notes.append(f"{amount(unmarked, 'image')} without landmarks (_lnd.npy), never aligned")
    return RawDataset(
        NAME,
        EIGHT,
        samples,
        lambda sample: decode(sample.place.file),
        policy,
        channels,
        faults,
        notes,
        files=files,
        aligned=_aligned if is_marked else None,
        is_cut=True,
    )


def _aligned(sample: Sample) -> Pixels:
    """Return the face with its landmarks in their places, in a frame as large as the picture, or as it is."""
    image = decode(sample.place.file)
    if sample.place.landmarks is None:
        return image
    try:
        numbers = np.load(sample.place.landmarks, allow_pickle=False).astype(float)
    except (OSError, ValueError, EOFError):
        raise UnreadableError(f"no numbers in annotations/{readable(sample.place.landmarks.name)}") from None
    return aligned(image, five_of(numbers), side=max(image.shape[:2]))


def _sets(root: Path) -> dict[Path, str]:
    """Return the folders with images and annotations -> the split in each; the root itself where it is one."""
    sets = {folder: part for folder, part in split_folders(root).items() if _is_set(folder)}
    return sets or ({root: ""} if _is_set(root) else {})


def _is_set(folder: Path) -> bool:
    images, annotations = folder / "images", folder / "annotations"
    return images.is_dir() and annotations.is_dir() and any(islice(annotations.glob("*_exp.npy"), 1))


def _code(file: Path) -> str | None:
    """Return the code in an annotation, a number or its text; None where there is none."""
    try:
        code = str(int(float(np.load(file, allow_pickle=False).item())))
    except (OSError, ValueError, EOFError):
        return None
    return code if code in CODES else None
