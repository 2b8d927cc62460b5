"""Trees of folders to samples, once their levels are understood; what the readers of trees share."""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.labels import canonical, emotions_within, spelt
from fer_tune.data.preparing.readers.base import Fault, Pixels, RawDataset, Sample
from fer_tune.data.preparing.readers.trees.images import coloured, decode, folders_in, image_files, readable
from fer_tune.data.preparing.readers.trees.levels import Levels, Names, Tree, told, understood
from fer_tune.data.preparing.readers.trees.parts import published, split_of
from fer_tune.data.preparing.readers.trees.people import people_in_names
from fer_tune.data.preparing.readers.trees.roles import role_of
from fer_tune.errors import UserError, nearest


def read_tree(tree: Tree) -> RawDataset:
    """Return what ``tree`` holds: classes by the level of emotions, splits and people by theirs.

    Where no level holds emotions, the classes are the names of the first level that holds no splits.

    Raises:
        UserError: the levels contradict each other, a class folder is empty or unknown to train, there is no train
            folder, or only one class.
    """
    levels = understood(tree)
    unlabelled, held = _with_labels(tree, levels)
    used, policy = _parts(tree, levels, held)
    classes = _classes(tree, levels, held, used)
    samples: list[Sample] = []
    faults = list(tree.loops)
    is_coloured = False
    for names in sorted(held):
        label = classes.index(_class(names, levels))
        part = used[names[levels.split]] if levels.split is not None else ""
        group = readable(names[levels.people]) if levels.people is not None and len(names) > levels.people else ""
        files, broken, _ = image_files(tree.path(names))
        samples += [Sample(readable(file.relative_to(tree.root)), label, part, file, group) for file in files]
        faults += [Fault(readable(Path(fault.source).relative_to(tree.root)), fault.reason) for fault in broken]
        is_coloured = is_coloured or coloured(files)
    people = f"the folders {told(tree, levels.people)}" if levels.people is not None else ""
    if not people:
        samples, people = people_in_names(samples)
    warnings = [
        f"the folders {told(tree, level)} above the emotions are read as one; if they tell people apart, say so with "
        "--group"
        for level in levels.unclear
        if role_of(tree.names(level)) == ""
    ]
    return RawDataset(
        readable(tree.root.resolve().name),
        tuple(readable(name) for name in classes),
        samples,
        _load,
        policy,
        3 if is_coloured else 1,
        faults,
        warnings=warnings,
        unlabelled=unlabelled,
        people=people,
    )


def classes_in(tree: Tree) -> set[str]:
    """Return the names of the classes of ``tree``, as far as its folders tell them.

    Raises:
        UserError: the levels contradict each other.
    """
    levels = understood(tree)
    return {_class(names, levels) for names in _with_labels(tree, levels)[1]}


def _load(sample: Sample) -> Pixels:
    return decode(sample.place)


def _class(names: Names, levels: Levels) -> str:
    return spelt(names[levels.classes])


def _with_labels(tree: Tree, levels: Levels) -> tuple[list[Path], list[Names]]:
    """Return what holds images without a label but for a test, and the folders whose images have labels."""
    at = levels.classes
    deep = [names for names in tree.holding if _split_name(names, levels) is not None or levels.split is None]
    held = [names for names in deep if len(names) > at]
    if levels.emotions is not None:
        held = [names for names in held if _may_be_class(names[at])]
        parts = {_split_name(names, levels) for names in held if canonical(names[at])}
        held = [names for names in held if _split_name(names, levels) in parts]  # test/images/ is no class "images"
    rest = {names for names in deep if names not in set(held)}
    tests = [names for names in rest if _test_above(names, levels)]
    tops = {names[: _test_above(names, levels)] for names in tests}
    return sorted(tree.path(names) for names in tops if not any(other[: len(names)] == names for other in held)), held


def _split_name(names: Names, levels: Levels) -> str | None:
    """Return the folder of the split level that ``names`` pass through, where it means a split."""
    if levels.split is None or len(names) <= levels.split:
        return None
    return names[levels.split] if names[levels.split] in levels.parts else None


def _test_above(names: Names, levels: Levels) -> int:
    """Return how many names lead to the folder that is called a test (or val), 0 where none is."""
    return next((place for place, name in enumerate(names, 1) if split_of(name) in ("test", "val", "eval")), 0)


def _may_be_class(name: str) -> bool:
    return bool(canonical(name)) or (split_of(name) is None and role_of([name]) == "")


def _parts(tree: Tree, levels: Levels, held: list[Names]) -> tuple[dict[str, str], str]:
    """Return the folder of the split level -> the split it serves as, and a sentence about it."""
    if levels.split is None:
        return {}, published({"": ""})[1]
    given = {name: levels.parts[name] for names in held if (name := _split_name(names, levels)) is not None}
    if given and "train" not in given.values():
        found = " and ".join(sorted(given))
        raise UserError(f"{tree.root}: there is {found}, but no train folder; name the training images so")
    used, policy = published(given)
    return used, readable(policy)


def _classes(tree: Tree, levels: Levels, held: list[Names], used: dict[str, str]) -> list[str]:
    """Return the classes, sorted, once it is sure that each is one and that train knows it.

    Raises:
        UserError: it is not.
    """
    at = levels.classes
    if levels.people is None:
        for above in sorted({names[:at] for names in held}):
            for entry in folders_in(tree.path(above)):
                if not any(names[: at + 1] == (*above, entry.name) for names in tree.holding):
                    raise UserError(f"{entry}: no images in it; every class needs some, or remove the folder")
    spellings: dict[tuple[Names, str], str] = {}  # folders above, class -> the name of its folder
    named: dict[str, Names] = {}
    for names in sorted(
        held,
        key=lambda names: (
            (used.get(names[levels.split], "") != "train", names) if levels.split is not None else (False, names)
        ),
    ):
        above, own = names[:at], _class(names, levels)
        first = spellings.setdefault((above, own), names[at])
        if first != names[at]:
            raise UserError(f"{tree.path(names[: at + 1])}: the same class as {first}; merge the two folders")
        part = used[names[levels.split]] if levels.split is not None else ""
        if part not in ("train", "") and own not in named:
            hint = nearest(own, named) or f"the classes are {', '.join(map(repr, sorted(named)))}"
            raise UserError(f"{tree.path(names[: at + 1])}: train has no class of this name; {hint}")
        named.setdefault(own, names)
    if len(named) < 2:
        found = next(iter(named), None)
        one = f"only one class, {found!r}" if found else "no class"
        told = [image for images in tree.holding.values() for image in images if emotions_within(image)]
        hint = f". Some file names hold emotions ({told[0]}): a table of path and label tells them" if told else ""
        raise UserError(f"{tree.root}: {one}; there must be two or more folders of images, one a class{hint}")
    return sorted(named)
