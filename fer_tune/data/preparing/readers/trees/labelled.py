"""Trees of folders to samples, once their levels are understood; what the readers of trees share."""

from __future__ import annotations

from pathlib import Path

from fer_tune.data.labels import canonical, class_names, emotions_within, read_as_one
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
    meant = _classes(tree, levels, held, used)
    classes = sorted(set(meant.values()))
    samples: list[Sample] = []
    faults = list(tree.loops)
    is_coloured = False
    for names in sorted(held):
        label = classes.index(meant[names[levels.classes]])
        part = _part(names, levels, used)
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
        [*read_as_one({readable(name): own for name, own in meant.items()}), *_folds(tree, levels)],
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
    return set(class_names(names[levels.classes] for names in _with_labels(tree, levels)[1]).values())


def _load(sample: Sample) -> Pixels:
    return decode(sample.place)


def _part(names: Names, levels: Levels, used: dict[str, str]) -> str:
    return used[names[levels.split]] if levels.split is not None else ""


def _folds(tree: Tree, levels: Levels) -> list[str]:
    """Return a sentence for each level of folds, which tell neither people nor splits.

    Raises:
        UserError: each fold has splits of its own, so that what one trains on another tests.
    """
    notes = []
    for level in range(tree.depth):
        names = tree.names(level)
        if len(names) < 2 or level == levels.classes or role_of(names) != "folds":
            continue
        if levels.split is not None and level < levels.split and len(set(levels.parts.values())) > 1:
            one = tree.root / readable(min(names))
            raise UserError(
                f"{tree.root}: {told(tree, level)} have {' and '.join(sorted(levels.parts))} each, so that what one "
                f"trains on another tests: name one of them, such as {one}, or, for folds of our own, --folds over "
                "the images of one"
            )
        notes.append(f"the folders {told(tree, level)} are read as one: folds, which tell neither people nor splits")
    return notes


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


def _classes(tree: Tree, levels: Levels, held: list[Names], used: dict[str, str]) -> dict[str, str]:
    """Return the class that each folder's name means, once it is sure that it is one and that train knows it.

    Raises:
        UserError: it is not.
    """
    at = levels.classes
    if levels.people is None:
        for above in sorted({names[:at] for names in held}):
            for entry in folders_in(tree.path(above)):
                if not any(names[: at + 1] == (*above, entry.name) for names in tree.holding):
                    raise UserError(f"{entry}: no images in it; every class needs some, or remove the folder")
    train_first = sorted(held, key=lambda names: (_part(names, levels, used) != "train", names))
    meant = class_names(names[at] for names in train_first)
    named: set[str] = set()
    for names in train_first:
        own = meant[names[at]]
        if _part(names, levels, used) not in ("train", "") and own not in named:
            hint = nearest(own, named) or f"the classes are {', '.join(map(repr, sorted(named)))}"
            raise UserError(f"{tree.path(names[: at + 1])}: train has no class of this name; {hint}")
        named.add(own)
    if len(named) < 2:
        found = next(iter(named), None)
        one = f"only one class, {found!r}" if found else "no class"
        told = [image for images in tree.holding.values() for image in images if emotions_within(image)]
        hint = f". Some file names hold emotions ({told[0]}): a table of path and label tells them" if told else ""
        raise UserError(f"{tree.root}: {one}; there must be two or more folders of images, one a class{hint}")
    return meant
