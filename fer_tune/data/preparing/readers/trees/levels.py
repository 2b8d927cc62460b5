"""What the levels of a tree of folders mean: which holds splits, which emotions, which the people shown.

Source: how datasets are passed on: ``<split>/<emotion>/``, ``<emotion>/<split>/``, ``<person>/<emotion>/``,
Oulu-CASIA's ``<camera>/<lighting>/<person>/<emotion>/``, and all of these inside further folders.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fer_tune.data.labels import canonical
from fer_tune.data.preparing.readers.base import Fault
from fer_tune.data.preparing.readers.trees.images import SUFFIXES, folders_in, is_folder, is_junk, readable
from fer_tune.data.preparing.readers.trees.parts import parts_among, roots, split_of
from fer_tune.data.preparing.readers.trees.roles import role_of
from fer_tune.errors import UserError

_SHOWN = 4  # names of a level in a message
_FREE = 3  # names without any meaning above the emotions: that many are people, two may be sources

Names = tuple[str, ...]


@dataclass(frozen=True)
class Tree:
    """The folders below a root that hold images themselves: their names from the root on, and the images' names."""

    root: Path
    holding: dict[Names, list[str]]
    loops: list[Fault] = field(default_factory=list)  # links that lead back to a folder above

    def names(self, level: int) -> Counter[str]:
        """Return the folders' names at one level, 0 directly below the root, with the images below each."""
        found: Counter[str] = Counter()
        for names, images in self.holding.items():
            if len(names) > level:
                found[names[level]] += len(images)
        return found

    @property
    def depth(self) -> int:
        """The number of levels."""
        return max(map(len, self.holding), default=0)

    def path(self, names: Names) -> Path:
        """Return the folder with these names."""
        return self.root.joinpath(*names)


@dataclass(frozen=True)
class Levels:
    """Which level holds what; None where there is none."""

    emotions: int | None
    classes: int  # that of the emotions, else the first that holds neither splits nor folds
    split: int | None
    parts: dict[str, str]  # name of a folder of the split level -> the split it means
    people: int | None
    unclear: list[int]  # levels above the emotions that mean nothing known


def tree_at(path: Path) -> Tree:
    """List the folders with images below ``path``, or below the only folder in it; links are followed."""
    root = path
    for found in roots(path):
        root = found
        inner = folders_in(found)
        if len(inner) != 1 or split_of(inner[0].name) or canonical(inner[0].name):
            break
    tree = Tree(root, {})
    _fill(tree, (), ())
    return tree


def _fill(tree: Tree, names: Names, above: tuple[str, ...]) -> None:
    folder = tree.path(names)
    trail = (*above, os.path.realpath(folder))
    inner, images = [], []
    with os.scandir(folder) as entries:
        for entry in entries:  # one pass: a folder of 30,000 images is asked about often
            if is_junk(entry.name):
                continue
            if is_folder(entry):
                inner.append(entry.name)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                images.append(entry.name)
    if images:
        tree.holding[names] = sorted(images)
    for name in sorted(inner):
        if os.path.realpath(folder / name) in trail:
            tree.loops.append(Fault(readable(Path(*names, name)), "a link back to a folder above it"))
        else:
            _fill(tree, (*names, name), trail)


def understood(tree: Tree) -> Levels:
    """Tell the levels of ``tree`` apart by the names at each.

    Raises:
        UserError: emotions stand at two levels, the splits of two levels contradict each other, or there is a test and
            nothing that is for training.
    """
    names = [tree.names(level) for level in range(tree.depth)]
    emotions = _emotion_level(tree, names)
    split, parts = _split_level(tree, names, emotions)
    classes = emotions if emotions is not None else _class_level(names, split)
    others = [
        level
        for level in range(tree.depth)
        if level not in (classes, split)
        and len(names[level]) > 1
        and len(parts_among(names[level])) < len(names[level])
    ]
    roles = {level: role_of(names[level]) for level in others}
    for level, role in roles.items():
        if level < classes and role != "persons":
            _check_splits(tree, names[level])
    people = next((level for level, role in roles.items() if role == "persons"), None)
    if people is None and emotions is not None:
        free = [
            level
            for level, role in roles.items()
            if level < emotions and role in ("", "codes") and len(names[level]) >= _FREE
        ]
        people = free[-1] if free else None
    unclear = [level for level in others if level < classes and level != people]
    return Levels(emotions, classes, split, parts, people, unclear)


def _class_level(names: list[Counter[str]], split: int | None) -> int:
    fitting = (level for level, own in enumerate(names) if level != split and role_of(own) != "folds")
    return next(fitting, 1 if split == 0 else 0)


def _check_splits(tree: Tree, names: Counter[str]) -> None:
    """Refuse folders of which some name a split and none is for training: read as one, they would mix it in.

    Raises:
        UserError: there are such.
    """
    if parts := parts_among(names):
        others = ", ".join(sorted(readable(name) for name in names if name not in parts)[:_SHOWN])
        raise UserError(
            f"{tree.root}: there is {' and '.join(sorted(parts))}, but no train folder beside {others}; name the "
            "training images so"
        )


def told(tree: Tree, level: int) -> str:
    """Return the first names of a level, for a message."""
    found = sorted(tree.names(level))
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return ", ".join(readable(name) for name in found[:_SHOWN]) + more


def _emotion_level(tree: Tree, names: list[Counter[str]]) -> int | None:
    levels = [level for level, found in enumerate(names) if len({canonical(name) for name in found} - {None}) > 1]
    first: dict[int, Path] = {}  # level -> a folder whose uppermost emotion stands there
    for folders in tree.holding:
        said = {level: emotion for level in levels if len(folders) > level and (emotion := canonical(folders[level]))}
        if len(set(said.values())) > 1:
            one, other = (folders[level] for level in sorted(said)[:2])
            raise UserError(
                f"{tree.path(folders)}: its folders name two emotions, {one!r} and {other!r}; which one is it? Rename "
                "one of them, or name a folder below"
            )
        if said:
            first.setdefault(min(said), tree.path(folders))
    if len(first) > 1:
        one, other = (readable(first[level].relative_to(tree.root)) for level in sorted(first)[:2])
        raise UserError(
            f"{tree.root}: emotions stand at two levels, such as {one} and {other}; one may be a copy of the other: "
            "name the folder around one of them"
        )
    return min(first, default=None)


def _split_level(tree: Tree, names: list[Counter[str]], emotions: int | None) -> tuple[int | None, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for level, own in enumerate(names):
        parts = parts_among(own) if level != emotions else {}
        is_above = emotions is None or level < emotions
        if parts and (len(parts) == len(own) or ("train" in parts.values() and is_above)):
            found[level] = parts
    if not found:
        return None, {}
    first = min(found)
    for level in sorted(found)[1:]:
        for folders in tree.holding:
            if len(folders) > level:
                said = found[first].get(folders[first]), found[level].get(folders[level])
                if None not in said and said[0] != said[1]:
                    raise UserError(
                        f"{tree.path(folders)}: its folders name two splits, {folders[first]!r} and "
                        f"{folders[level]!r}; which one is it? Rename one of them, or name a folder below"
                    )
    return first, found[first]
