"""Never nonsense: classes that look like splits, persons, sessions, lighting or codes are refused, with the cure.

A dataset of the classes "train_set" and "val_set" would train, and mean nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from fer_tune.amounts import amount
from fer_tune.data.labels import EIGHT, canonical, emotions_within
from fer_tune.data.preparing.readers.base import RawDataset, Sample
from fer_tune.data.preparing.readers.trees.levels import tree_at
from fer_tune.data.preparing.readers.trees.parts import mentions_split, parts_among, split_of
from fer_tune.data.preparing.readers.trees.roles import role_of
from fer_tune.errors import UserError, nearest

_SHOWN = 4  # names in a message
_PROBED = 200  # file names that are looked at for emotions
_CODES = (
    "fer2013's are 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral; RAF-DB's 1 surprise, 2 fear, "
    "3 disgust, 4 happy, 5 sad, 6 angry, 7 neutral (--format raf-db-folders); AffectNet's 0 neutral, 1 happy, 2 sad, "
    "3 surprise, 4 fear, 5 disgust, 6 angry, 7 contempt (--format affectnet-folders)"
)


def refuse_nonsense(path: Path, raw: RawDataset, said: Collection[str] = ()) -> None:
    """Raise a UserError where the classes of ``raw`` are no emotions, nor anything else that a face could show.

    Args:
        path: what the user named.
        raw: what a reader found there.
        said: classes whose meaning was said, with ``--classes``; they are taken as they are.
    """
    names = [name for name in raw.classes if name not in said]
    if not names:
        return
    role = role_of(names)
    splits = [name for name in names if not canonical(name) and (split_of(name) or mentions_split(name))]
    mixed = [name for name in names if not canonical(name) and len(emotions_within(name)) == 1]
    if role == "codes":
        raise UserError(
            f"{path}: the classes are numbers, {_listed(names)}, and nothing says whose codes they are; {_CODES}; "
            f"or say what each means with --classes {names[0]}=angry,{names[-1]}=..."
        )
    if len(mixed) > 1 and len({emotion for name in mixed for emotion in emotions_within(name)}) > 1 and not splits:
        raise UserError(
            f"{path}: the classes would be {_listed(mixed)}: names of emotions and of something more, such as persons; "
            "make folders <person>/<emotion>/ of them, or say with --classes what each is, such as "
            f"--classes {mixed[0]}={emotions_within(mixed[0]).pop()},..."
        )
    if role or splits:
        found = f"{_listed(splits)}: names of splits" if splits else f"{_listed(names)}: these look like {role}"
        raise UserError(
            f"{path}: the classes would be {found}, not emotions; {_levels(path, raw)}. Name the folder whose folders "
            "are emotions, say --format where it is a published dataset, or, if these are classes after all, say so "
            f"with --classes {names[0]}={names[0]},..."
        )


def spelling_warnings(raw: RawDataset) -> list[str]:
    """Return a warning for each class whose name is almost an emotion's."""
    return [
        f"class {name!r} is read as it is; {hint} then say --classes {name}=..."
        for name in raw.classes
        if not canonical(name) and (hint := nearest(name.lower(), EIGHT, 1))
    ]


def strange_classes(raw: RawDataset) -> list[str]:
    """Return a note where most classes are emotions and some are not: a folder of leftovers would be one of these."""
    strange = [name for name in raw.classes if not canonical(name)]
    if not strange or len(strange) >= len(raw.classes) / 2:
        return []
    counts = Counter(raw.classes[sample.label] for sample in raw.samples)
    told = ", ".join(f"{name!r} ({amount(counts[name], 'image')})" for name in strange)
    return [f"read as a class, though no basic emotion: {told}; --classes {strange[0]}= leaves it out"]


def _levels(path: Path, raw: RawDataset) -> str:
    """Say what each level of folders holds, and where emotions may be."""
    if not path.is_dir():
        return "emotions are in no column that was found"
    tree = tree_at(path)
    told = []
    for level in range(tree.depth):
        names = list(tree.names(level))
        emotions = [name for name in names if canonical(name)]
        parts = parts_among(names)
        what = "emotions" if len(emotions) > 1 else "splits" if parts else role_of(names) or "no emotions"
        told.append(f"level {level + 1} holds {_listed(sorted(names))} ({what})")
    named = _emotions_in_names(raw.samples)
    if named:
        told.append(
            f"the file names hold emotions, as {named}: a table of path and label would say so (--format table)"
        )
    elif not any("(emotions)" in one for one in told):
        told.append("no level holds emotions")
    return "; ".join(told)


def _emotions_in_names(samples: list[Sample]) -> str:
    """Return one file name where most tell one emotion each, and at least two are told."""
    found: dict[str, str] = {}
    count = hits = 0
    for sample in islice(samples, _PROBED):
        count += 1
        name = sample.source.rpartition("/")[2]
        emotions = emotions_within(name)
        if len(emotions) == 1:
            hits += 1
            found[emotions.pop()] = name
    return next(iter(found.values())) if len(found) > 1 and hits > count / 2 else ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
