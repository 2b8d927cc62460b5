"""Object-detection exports with one face a picture: ``train/images/7.jpg``, ``train/labels/7.txt``, ``data.yaml``.

Source: the YOLO format (Ultralytics' documentation, "Object Detection Datasets"): a line ``class x y width height`` a
box, its middle and size as shares of the picture's, and the classes' names in ``data.yaml``. AffectNet is passed on so.
The face is cut out with a margin; pictures with no box or several are left out and told.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fer_tune.data.labels import class_names, read_as_one
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample, UnreadableError
from fer_tune.data.preparing.readers.tables.boxes import MARGIN, Box, cropped
from fer_tune.data.preparing.readers.trees.images import channels_of, decode, image_files, readable
from fer_tune.data.preparing.readers.trees.parts import find_root, parts_among, published
from fer_tune.errors import UserError

FORMAT = "yolo"
NEEDS = "data.yaml with the classes' names, and <split>/images/*.jpg with <split>/labels/*.txt (class x y width height)"


class _Shares(NamedTuple):
    """A picture, and a box in it as shares of its width and height."""

    file: Path
    box: Box


def recognises(path: Path) -> bool:
    """Tell whether there are names of classes, and pictures with boxes."""
    return find_root(path, lambda root: bool(_names(root) and _splits(root))) is not None


def read(path: Path) -> RawDataset:
    """Scan the pictures and their boxes.

    Raises:
        UserError: there are none.
    """
    root = find_root(path, lambda folder: bool(_names(folder) and _splits(folder)))
    if root is None:
        raise UserError(f"{path}: not {FORMAT}; it needs {NEEDS}")
    names, splits = _names(root), _splits(root)
    meant = class_names(names)
    classes = tuple(sorted(set(meant.values())))
    used, policy = published({name: part for name, (part, _, _) in splits.items()})
    samples: list[Sample] = []
    faults: list[Fault] = []
    files, left_out = _yaml(root), Counter[str]()
    found: list[Path] = []
    for name, (_, images, labels) in splits.items():
        pictures, broken, _ = image_files(images)
        found += pictures
        faults += [Fault(readable(Path(fault.source).relative_to(root)), fault.reason) for fault in broken]
        for picture in pictures:
            list_file, source = labels / f"{picture.stem}.txt", readable(picture.relative_to(root))
            try:
                boxes = _boxes(list_file, len(names))
            except UnreadableError as error:
                faults.append(Fault(source, str(error)))
                continue
            files.append(list_file)
            if len(boxes) != 1:
                left_out["with no box" if not boxes else "with several boxes"] += 1
                files.append(picture)
                continue
            ((number, box),) = boxes
            place = _Shares(picture, box)
            samples.append(Sample(source, classes.index(meant[names[number]]), used[name], place))
    notes = [*read_as_one(meant), f"faces are cut out by their boxes and {MARGIN:.0%} around"]
    notes += [f"left out: {count:,} pictures {reason}" for reason, count in sorted(left_out.items())]
    name = readable(root.resolve().name)
    return RawDataset(name, classes, samples, _load, policy, channels_of(found), faults, notes, files=files)


def _load(sample: Sample) -> Pixels:
    image = decode(sample.place.file)
    height, width = image.shape[:2]
    left, top, right, bottom = sample.place.box
    return cropped(image, Box(left * width, top * height, right * width, bottom * height))


def _yaml(root: Path) -> list[Path]:
    return sorted(file for file in root.iterdir() if file.suffix in (".yaml", ".yml")) if root.is_dir() else []


def _names(root: Path) -> list[str]:
    """Return the names of the classes, from the first yaml file that has them as a list or numbered."""
    for file in _yaml(root):
        try:
            told: Any = yaml.safe_load(file.read_text(encoding="utf-8", errors="replace"))
        except yaml.YAMLError:
            continue
        names = told.get("names") if isinstance(told, dict) else None
        if isinstance(names, dict) and sorted(names) == list(range(len(names))):
            names = [names[number] for number in range(len(names))]
        if isinstance(names, list) and names:
            return [str(name) for name in names]
    return []


def _splits(root: Path) -> dict[str, tuple[str, Path, Path]]:
    """Return name of a folder -> the split in it, its images, its labels; ``train/images/`` or ``images/train/``."""
    found = {}
    inside = (root / "images").is_dir()
    above = root / "images" if inside else root
    names = [entry.name for entry in above.iterdir() if entry.is_dir()]
    for name, part in parts_among(names).items():
        pair = (above / name, root / "labels" / name) if inside else (root / name / "images", root / name / "labels")
        if pair[0].is_dir() and pair[1].is_dir() and any(islice(pair[1].glob("*.txt"), 1)):
            found[name] = (part, *pair)
    return found


def _boxes(file: Path, classes: int) -> list[tuple[int, Box]]:
    """Return class and box of each line.

    Raises:
        UnreadableError: there is no such file, or a line is none.
    """
    if not file.is_file():
        raise UnreadableError(f"there is no labels/{file.name}")
    found = []
    for line, text in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        words = text.split()
        if not words:
            continue
        try:
            number = int(words[0])
            x, y, width, height = map(float, words[1:5])
        except ValueError:
            raise UnreadableError(f"labels/{file.name}:{line}: expected class x y width height") from None
        if not 0 <= number < classes:
            raise UnreadableError(f"labels/{file.name}:{line}: class {number}, but data.yaml names {classes}")
        found.append((number, Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)))
    return found
