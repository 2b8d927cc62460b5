"""``--classes``: renaming, merging and dropping classes, and saying what numbers mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fer_tune.amounts import amount
from fer_tune.data.labels import spelt
from fer_tune.data.preparing.readers.base import RawDataset, Sample
from fer_tune.errors import UserError, nearest


def parsed_classes(texts: Iterable[str]) -> dict[str, str]:
    """Parse what ``--classes`` says: ``joy=happy`` renames or merges, ``contempt=`` drops; several with commas.

    >>> parsed_classes(["0=angry,1=happy", "contempt="])
    {'0': 'angry', '1': 'happy', 'contempt': ''}

    Raises:
        UserError: it is not old=new, or says two things of one class.
    """
    said: dict[str, str] = {}
    for word in (word.strip() for text in texts for word in text.split(",")):
        old, equals, new = (part.strip() for part in word.partition("="))
        if not equals or not old:
            raise UserError(f"--classes {word}: write old=new, such as joy=happy, or old= to drop a class")
        if old in said:
            raise UserError(f"--classes: says two things of {old}; leave one out")
        said[old] = spelt(new)
    return said


def with_classes(raw: RawDataset, said: Mapping[str, str]) -> RawDataset:
    """Return ``raw`` with its classes as said; those that are not mentioned stay.

    Raises:
        UserError: there is no such class, or fewer than two are left.
    """
    if not said:
        return raw
    plain = {name.lower(): name for name in raw.classes}
    new = {name: name for name in raw.classes}
    for old, name in said.items():
        found = old if old in new else plain.get(old.lower()) or (spelt(old) if spelt(old) in new else None)
        if found is None:
            hint = nearest(old, raw.classes) or f"the classes are {', '.join(raw.classes)}"
            raise UserError(f"--classes {old}={name}: no such class; {hint}")
        new[found] = name
    classes = tuple(sorted({name for name in new.values() if name}))
    if len(classes) < 2:
        raise UserError(f"--classes: leaves {', '.join(classes) or 'no class'}; there must be two or more")
    samples, dropped, undecided = [], Counter[str](), 0
    files = list(raw.files)
    for sample in raw.samples:
        old = raw.classes[sample.label]
        if not new[old]:
            dropped[old] += 1
            files += _file(sample)
            continue
        votes = [0] * len(classes) if sample.votes else []
        for name, count in zip(raw.classes, sample.votes, strict=False):
            if new[name]:
                votes[classes.index(new[name])] += count
        label = classes.index(new[old])
        if votes:  # once classes are merged, another may have the most
            label = votes.index(max(votes))
            if votes.count(max(votes)) > 1:
                undecided += 1
                files += _file(sample)
                continue
        samples.append(sample._replace(label=label, votes=tuple(votes)))
    changed = [f"{old} to {name}" for old, name in new.items() if name and name != old]
    notes = [f"classes renamed or merged (--classes): {', '.join(changed)}"] if changed else []
    notes += [f"class dropped (--classes): {old}, {amount(count, 'image')}" for old, count in dropped.items()]
    if undecided:
        notes.append(f"left out: {amount(undecided, 'image')}, undecided once classes are merged (--classes)")
    return replace(raw, classes=classes, samples=samples, files=files, notes=[*raw.notes, *notes])


def _file(sample: Sample) -> list[Path]:
    """Return the file of the image where it has one of its own: it was read, though it is left out."""
    file = getattr(sample.place, "file", sample.place)
    return [file] if isinstance(file, Path) else []
