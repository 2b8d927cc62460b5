"""Classes without images in a split: refused where nothing is left to learn from, and else told by class and split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from fer_tune.data.preparing.cleaning.hygiene import ORDER, Hygiene
from fer_tune.data.preparing.readers.base import Sample
from fer_tune.errors import UserError


def check_left(
    source: Path, classes: tuple[str, ...], divided: Mapping[str, list[Sample]], hygiene: Hygiene
) -> list[str]:
    """Return warnings of classes that have no image in a split.

    Args:
        source: what the user named.
        classes: a sample's label is an index into it.
        divided: split -> samples, before any was dropped.
        hygiene: that has seen them all.

    Raises:
        UserError: nothing is left of a split, or of a class in train.
    """
    report = hygiene.report()["splits"]
    for split, facts in report.items():
        if divided[split] and not facts["kept"]:
            dropped = ", ".join(f"{count:,} {reason}" for reason, count in facts["dropped"].items())
            raise UserError(
                f"{source}: nothing is left of {split}: of {facts['found']:,} images {dropped or 'none'} and "
                f"{facts['unreadable']:,} unreadable were dropped; --keep-duplicates keeps those that stand elsewhere"
            )
    warnings = []
    for split in reversed(ORDER):
        found = Counter(sample.label for sample in divided[split])
        kept, gone = _by_class(split, hygiene)
        lost = [label for label in range(len(classes)) if found[label] and not kept[label]]
        for label in lost:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in gone[label].items()) or "unreadable"
            told = f"class {classes[label]!r} loses all its {found[label]:,} images in {split} ({reasons})"
            if split == "train":
                keep = "--keep-duplicates keeps what stands elsewhere too, " if gone[label] else ""
                raise UserError(
                    f"{source}: {told}, so that it cannot be learnt; {keep}--classes {classes[label]}= leaves the "
                    "class out"
                )
            warnings.append(f"{told}: no figure of {split} says anything of it")
        none = [classes[label] for label in range(len(classes)) if not found[label]]
        if none:
            fate = "cannot be learnt" if split == "train" else f"do not count in figures of {split}"
            warnings.append(f"{split} has no image of {', '.join(none)}: they {fate}")
    return warnings


def _by_class(split: str, hygiene: Hygiene) -> tuple[Counter[int], dict[int, Counter[str]]]:
    """Return label -> images kept in ``split``, and label -> reason -> images dropped."""
    kept: Counter[int] = Counter()
    dropped: dict[int, Counter[str]] = defaultdict(Counter)
    for group in hygiene.groups.values():
        for entry in group.entries:
            if entry.split == split and entry.dropped:
                dropped[entry.label][entry.dropped] += 1
            elif entry.split == split:
                kept[entry.label] += 1
    return kept, dropped
