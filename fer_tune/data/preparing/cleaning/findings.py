"""``hygiene.csv`` beside a prepared dataset: every image that is a duplicate, near-duplicate, blank or unreadable."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from fer_tune.data.preparing.cleaning.hygiene import ORDER, Entry, Group, Hygiene
from fer_tune.data.preparing.cleaning.near import Nearest
from fer_tune.data.preparing.readers.base import Fault

LIST_FILE = "hygiene.csv"


def write_findings(
    file: Path,
    hygiene: Hygiene,
    faults: Iterable[Fault] = (),
    near_twins: tuple[list[Group], Nearest] | None = None,
) -> None:
    """Write one row per finding; an image with several findings has several rows.

    Columns: split; source; class; finding; group (a number that duplicates share); like (the nearest near-duplicate);
    bits (how many of the fingerprint's differ from it); kept.

    Args:
        file: the csv file.
        hygiene: that has seen every image.
        faults: entries that were unreadable before they could belong to a split.
        near_twins: of :meth:`~fer_tune.data.preparing.cleaning.hygiene.Hygiene.near_groups`.
    """
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["split", "source", "class", "finding", "group", "like", "bits", "kept"])

        def write(entry: Entry, finding: str, group: object = "", like: str = "", bits: object = "") -> None:
            kept = f"no, {entry.dropped}" if entry.dropped else "yes"
            label = hygiene.classes[entry.label]
            writer.writerow([entry.split, entry.source, label, finding, group, like, bits, kept])

        for split, skipped in {"": faults, **hygiene.unreadable}.items():
            writer.writerows([split, fault.source, "", fault.reason, "", "", "", "no"] for fault in skipped)
        for split in ORDER:
            for blank in (group for group in hygiene.groups.values() if group.blank):
                for entry in blank.entries:
                    if entry.split == split:
                        write(entry, "blank")
        several = [group for group in hygiene.groups.values() if len(group.entries) > 1]
        for number, group in enumerate(sorted(several, key=lambda group: group.entries), start=1):
            finding = "duplicate, conflicting labels" if group.is_conflicting else "duplicate"
            for entry in group.entries:
                write(entry, finding, number)
        if near_twins is not None:
            groups, found = near_twins
            for group, index, bits in zip(groups, found.index, found.bits, strict=True):
                if index >= 0:
                    for entry in group.entries:
                        write(entry, "near-duplicate", like=groups[index].entries[0].source, bits=bits)
