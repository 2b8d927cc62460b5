"""What folder layouts share: the names of split folders, and the folder around a dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fer_tune.data.labels import canonical
from fer_tune.data.preparing.readers.trees.images import folders_in

_WORDS: dict[str, str] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    "eval": "eval",
    "evaluation": "eval",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "holdout": "test",
}
_JOINED: dict[str, str] = {"publictest": "val", "privatetest": "test", "heldout": "test", "crossvalidation": "val"}
_FILLING = frozenset(
    [
        "set",
        "data",
        "dataset",
        "images",
        "image",
        "imgs",
        "img",
        "split",
        "folder",
        "face",
        "faces",
        "aligned",
        "cropped",
        "crop",
        "class",
        "classes",
        "subset",
        "part",
        "labels",
        "label",
        "annotations",
        "csv",
        "emotion",
        "emotions",
        "usage",
        "list",
    ]
)


def split_of(name: str, *, loosely: bool = False) -> str | None:
    """Return what a folder or file named so holds: ``train``, ``val``, ``test``, ``eval`` (one of the two), or None.

    >>> split_of("Train_Set"), split_of("valid"), split_of("PrivateTest"), split_of("FER2013Train")
    ('train', 'val', 'test', None)

    Args:
        name: of the folder, or of the file without its suffix.
        loosely: other words may stand beside, as in ``FER2013Train`` or ``raf_test``.
    """
    words = re.split(r"[\W\d_]+", re.sub(r"(?<=[a-z\d])(?=[A-Z])", " ", name).lower())
    words = [word for word in words if word and word not in _FILLING]
    joined = "".join(words)
    if joined in _JOINED:
        return _JOINED[joined]
    found = {_word(word) for word in words} - {None}
    if len(found) != 1 or (not loosely and len(words) > 1) or any(canonical(word) for word in words):
        return None
    return found.pop()


def mentions_split(name: str) -> bool:
    """Tell whether one of the words of ``name`` means a split, as in ``train_happy``."""
    return any(
        _word(word) for word in re.split(r"[\W\d_]+", re.sub(r"(?<=[a-z\d])(?=[A-Z])", " ", name).lower()) if word
    )


def _word(word: str) -> str | None:
    """Return the split that one word means; ``trainset`` and ``testdata`` are two words in one."""
    short = re.sub(r"(set|data|images|imgs|faces)$", "", word)
    return _WORDS.get(word) or _WORDS.get(short)


def parts_among(names: Iterable[str]) -> dict[str, str]:
    """Return name -> ``train``, ``val`` or ``test`` for those of sibling ``names`` that mean a split.

    Names with other words in them count where no plain one is there, and at least two splits are found so:
    ``FER2013Train`` and ``FER2013Valid``. What is called eval is the test where there is no other.
    """
    given = list(names)
    found = {name: split for name in given if (split := split_of(name))}
    if not found:
        found = {name: split for name in given if (split := split_of(name, loosely=True))}
        found = found if len(set(found.values())) > 1 else {}
    evaluation = "val" if "test" in found.values() else "test"
    return {name: evaluation if split == "eval" else split for name, split in found.items()}


def split_folders(root: Path) -> dict[Path, str]:
    """Return the folders of ``root`` that are named like a split, and which."""
    return {root / name: part for name, part in parts_among(folder.name for folder in folders_in(root)).items()}


def published(parts: dict[str, str]) -> tuple[dict[str, str], str]:
    """Return folder or file -> split to use (all "" where nothing but train is there), and a sentence about it.

    Where there is no test, what was meant for validation is it: a figure must come from what the search never read.

    Args:
        parts: name of a folder or file -> the split that it means.
    """
    found = set(parts.values())
    if not found - {""}:
        return dict.fromkeys(parts, ""), "nothing is published"
    if found == {"train"}:
        return dict.fromkeys(parts, ""), f"nothing is published but {_listed(parts)}"
    if "test" not in found and "train" in found:
        others = _listed(name for name, part in parts.items() if part != "train")
        used = {name: part if part == "train" else "test" for name, part in parts.items()}
        return used, f"published: {_listed(parts)}; there is no test, so the test is {others}"
    return parts, "published: " + ", ".join(
        name if name == part else f"{name} as {part}" for name, part in sorted(parts.items())
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def find_root(path: Path, fits: Callable[[Path], bool]) -> Path | None:
    """Return ``path``, or the only folder in it (twice over, as archives are unpacked), whichever fits first."""
    return next((root for root in roots(path) if fits(root)), None)


def roots(path: Path) -> Iterator[Path]:
    """Yield ``path`` and the only folders in it, twice over."""
    for _ in range(3):
        if not path.is_dir():
            return
        yield path
        inner = folders_in(path)
        if len(inner) != 1:
            return
        path = inner[0]
