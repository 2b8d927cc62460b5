"""Duplicates, conflicting labels, blank and unreadable images: what is found, and what is dropped.

Two images are duplicates when their pixels are identical as decoded. The rule: an image of train that also stands in
test or val is dropped from train, one of val that stands in test is dropped from val; test is left as published.
Duplicates within one split are kept, as published, and reported. FER2013 leaks 8 % of its test images into training
without this. Near-duplicates (`near`) are reported, and on request dropped by the same rule.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fer_tune.data.preparing.cleaning import near
from fer_tune.data.preparing.readers.base import Fault, Pixels
from fer_tune.data.preparing.readers.trees.images import EMPTY

ORDER: tuple[str, ...] = ("test", "val", "train")
"""The order in which splits must be read, so that what a split may not repeat is known when it is read."""


class Entry(NamedTuple):
    """One image that was seen."""

    split: str
    source: str
    label: int
    dropped: str  # why it was dropped, or ""


class Group(NamedTuple):
    """The images with exactly the same pixels, most often one."""

    entries: list[Entry]
    fingerprint: bytes
    blank: bool

    @property
    def is_conflicting(self) -> bool:
        """Whether the same pixels have several labels."""
        return _conflicting(self.entries)


class Hygiene:
    """Sees every image of a dataset, split by split in :data:`ORDER`, and decides which ones stay.

    Args:
        classes: names of the classes.
        keep_duplicates: drop nothing, as most of the literature does.
        drop_near_duplicates: drop near-duplicates as duplicates are.
    """

    def __init__(
        self, classes: tuple[str, ...], *, keep_duplicates: bool = False, drop_near_duplicates: bool = False
    ) -> None:
        self.classes, self.keep_duplicates, self.drop_near = classes, keep_duplicates, drop_near_duplicates
        self.groups: dict[bytes, Group] = {}
        self.unreadable: dict[str, list[Fault]] = {split: [] for split in ORDER}
        self._prints: dict[str, near.Prints] = {}  # split -> fingerprints of a split that is read to its end

    def admit(self, split: str, source: str, label: int, image: Pixels) -> bool:
        """Take note of one image, (H, W) or (H, W, C) uint8; return whether it stays in ``split``."""
        digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
        pixels = image.tobytes()
        digest.update(pixels)
        key = digest.digest()
        if key not in self.groups:
            first = pixels[: image.shape[2] if image.ndim == 3 else 1]
            is_blank = pixels == first * (len(pixels) // len(first))
            self.groups[key] = Group([], near.fingerprint(image), is_blank)
        group = self.groups[key]
        dropped = self._reason(split, group)
        group.entries.append(Entry(split, source, label, dropped))
        return not dropped

    def _reason(self, split: str, group: Group) -> str:
        """Return why an image of ``group`` may not stay in ``split``, or an empty string."""
        before = ORDER[: ORDER.index(split)]
        if not self.keep_duplicates:
            standing = {entry.split for entry in group.entries}
            for other in before:
                if other in standing:
                    return f"also in {other}"
        if self.drop_near and not group.blank:
            for other in before:
                if near.is_near(group.fingerprint, self._fingerprints(other)):
                    return f"near-duplicate in {other}"
        return ""

    def _fingerprints(self, split: str) -> near.Prints:
        """Return the fingerprints of a split that was read before, all of it."""
        if split not in self._prints:
            groups = (g for g in self.groups.values() if not g.blank and any(e.split == split for e in g.entries))
            self._prints[split] = near.stacked(group.fingerprint for group in groups)
        return self._prints[split]

    def near_groups(self, progress: Callable[[int, int], None] | None = None) -> tuple[list[Group], near.Nearest]:
        """Return the groups that are not blank, and what is near each of them among the others."""
        groups = [group for group in self.groups.values() if not group.blank]
        members = np.array([[any(e.split == split for e in g.entries) for split in ORDER] for g in groups], bool)
        prints = near.stacked(group.fingerprint for group in groups)
        return groups, near.nearest(prints, members.reshape(-1, len(ORDER)), progress)

    def report(self, near_twins: tuple[list[Group], near.Nearest] | None = None) -> dict[str, Any]:
        """Return the counts for the card, per split, across splits and over all.

        Args:
            near_twins: of :meth:`near_groups`, where near-duplicates are to be counted too.
        """
        groups = [group.entries for group in self.groups.values() if len(group.entries) > 1]
        return {
            "keep_duplicates": self.keep_duplicates,
            "splits": {split: self._of_split(split) for split in reversed(ORDER)},
            "across": {
                f"{split} with a twin in {other}": _across(groups, split, (other,))
                for split, other in (("test", "train"), ("test", "val"), ("val", "train"))
            },
            "test_with_twin_in_train_or_val": _across(groups, "test", ("train", "val")),
            "overall": {
                "groups": len(groups),
                "extra_copies": sum(len(group) - 1 for group in groups),
                "groups_with_conflicting_labels": sum(_conflicting(group) for group in groups),
            },
            **({} if near_twins is None else {"near_duplicates": self._near(*near_twins)}),
        }

    def _near(self, groups: list[Group], found: near.Nearest) -> dict[str, Any]:
        counts: Counter[tuple[str, str]] = Counter()
        total = 0
        for group, beside in zip(groups, found.beside, strict=True):
            others = [split for split, stands in zip(ORDER, beside, strict=True) if stands]
            total += len(group.entries) * bool(others)
            for entry in group.entries:
                counts.update((entry.split, other) for other in others)
        return {
            "bits": f"{near.NEAR} of {near.BITS}",
            "dropped": self.drop_near,
            "images": total,
            "across": {
                f"{split} with a near twin in {other}": counts[split, other]
                for split, other in (("test", "train"), ("test", "val"), ("val", "train"))
            },
            "within": {split: counts[split, split] for split in reversed(ORDER)},
        }

    def _of_split(self, split: str) -> dict[str, Any]:
        within = [[entry for entry in group.entries if entry.split == split] for group in self.groups.values()]
        entries = [entry for group in within for entry in group]
        dropped = Counter(entry.dropped for entry in entries if entry.dropped)
        return {
            "found": len(entries) + len(self.unreadable[split]),
            "unreadable": len(self.unreadable[split]),
            "zero_bytes": sum(fault.reason == EMPTY for fault in self.unreadable[split]),
            "blank": sum(entry.split == split for g in self.groups.values() if g.blank for entry in g.entries),
            "extra_copies": sum(len(group) - 1 for group in within if group),
            "groups_with_conflicting_labels": sum(_conflicting(group) for group in within),
            "dropped": dict(sorted(dropped.items())),
            "kept": len(entries) - dropped.total(),
        }


def _across(groups: list[list[Entry]], split: str, others: tuple[str, ...]) -> int:
    """Return how many entries of ``split`` also stand in one of ``others``."""
    crossing = [group for group in groups if any(entry.split in others for entry in group)]
    return sum(entry.split == split for group in crossing for entry in group)


def _conflicting(entries: list[Entry]) -> bool:
    return len({entry.label for entry in entries}) > 1
