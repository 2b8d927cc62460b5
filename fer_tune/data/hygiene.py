"""Duplicates, conflicting labels, blank and unreadable images: what is found, and what is dropped.

Two images are duplicates when their pixels are identical as decoded. The rule: an image of train that also stands in
test or val is dropped from train, one of val that stands in test is dropped from val; test is left as published.
Duplicates within one split are kept, as published, and reported. FER2013 leaks 8 % of its test images into training
without this.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fer_tune.data.readers.base import Fault, Pixels

ORDER: tuple[str, ...] = ("test", "val", "train")
"""The order in which splits must be read, so that what a split may not repeat is known when it is read."""
LIST_FILE = "hygiene.csv"


class _Entry(NamedTuple):
    split: str
    source: str
    label: int
    dropped: str  # the split that has it too, or ""


class Hygiene:
    """Sees every image of a dataset, split by split in :data:`ORDER`, and decides which ones stay.

    Args:
        classes: names of the classes.
        keep_duplicates: drop nothing, as most of the literature does.
    """

    def __init__(self, classes: tuple[str, ...], *, keep_duplicates: bool = False) -> None:
        self.classes, self.keep_duplicates = classes, keep_duplicates
        self._groups: dict[bytes, list[_Entry]] = defaultdict(list)
        self._blank: dict[str, list[_Entry]] = {split: [] for split in ORDER}
        self.unreadable: dict[str, list[Fault]] = {split: [] for split in ORDER}

    def admit(self, split: str, source: str, label: int, image: Pixels) -> bool:
        """Take note of one image, (H, W) or (H, W, C) uint8; return whether it stays in ``split``."""
        digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
        pixels = image.tobytes()
        digest.update(pixels)
        group = self._groups[digest.digest()]
        dropped = ""
        if not self.keep_duplicates:
            before = ORDER[: ORDER.index(split)]
            standing = {entry.split for entry in group}
            dropped = next((other for other in before if other in standing), "")
        entry = _Entry(split, source, label, dropped)
        group.append(entry)
        first = pixels[: image.shape[2] if image.ndim == 3 else 1]
        if pixels == first * (len(pixels) // len(first)):
            self._blank[split].append(entry)
        return not dropped

    def report(self) -> dict[str, Any]:
        """Return the counts for the card, per split, across splits and over all."""
        groups = [group for group in self._groups.values() if len(group) > 1]
        return {
            "keep_duplicates": self.keep_duplicates,
            "splits": {split: self._of_split(split) for split in reversed(ORDER)},
            "across": {
                f"{split} with a twin in {other}": len(self._across(groups, split, (other,)))
                for split, other in (("test", "train"), ("test", "val"), ("val", "train"))
            },
            "test_with_twin_in_train_or_val": len(self._across(groups, "test", ("train", "val"))),
            "overall": {
                "groups": len(groups),
                "extra_copies": sum(len(group) - 1 for group in groups),
                "groups_with_conflicting_labels": sum(_conflicting(group) for group in groups),
            },
        }

    def _of_split(self, split: str) -> dict[str, Any]:
        within = [[entry for entry in group if entry.split == split] for group in self._groups.values()]
        entries = [entry for group in within for entry in group]
        dropped = Counter(f"also in {entry.dropped}" for entry in entries if entry.dropped)
        return {
            "found": len(entries) + len(self.unreadable[split]),
            "unreadable": len(self.unreadable[split]),
            "blank": len(self._blank[split]),
            "extra_copies": sum(len(group) - 1 for group in within if group),
            "groups_with_conflicting_labels": sum(_conflicting(group) for group in within),
            "dropped": dict(sorted(dropped.items())),
            "kept": len(entries) - dropped.total(),
        }

    @staticmethod
    def _across(groups: list[list[_Entry]], split: str, others: tuple[str, ...]) -> list[_Entry]:
        """Return the entries of ``split`` that also stand in one of ``others``."""
        found = []
        for group in groups:
            if any(entry.split in others for entry in group):
                found += [entry for entry in group if entry.split == split]
        return found

    def write_list(self, file: Path, faults: Iterable[Fault] = ()) -> None:
        """Write every image that is a duplicate, blank or unreadable as a row of a csv file.

        Args:
            file: the csv file.
            faults: entries that were unreadable before they could belong to a split.
        """
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["split", "source", "class", "finding", "group", "kept"])
            for split, skipped in {"": faults, **self.unreadable}.items():
                writer.writerows([split, fault.source, "", fault.reason, "", "no"] for fault in skipped)
            for split, entries in self._blank.items():
                writer.writerows([split, e.source, self.classes[e.label], "blank", "", _kept(e)] for e in entries)
            groups = sorted(group for group in self._groups.values() if len(group) > 1)
            for number, group in enumerate(groups, start=1):
                finding = "duplicate, conflicting labels" if _conflicting(group) else "duplicate"
                for e in group:
                    writer.writerow([e.split, e.source, self.classes[e.label], finding, number, _kept(e)])


def _conflicting(group: list[_Entry]) -> bool:
    return len({entry.label for entry in group}) > 1


def _kept(entry: _Entry) -> str:
    return f"no, also in {entry.dropped}" if entry.dropped else "yes"
