"""Neighbouring frames on both sides of a split by chance: seen by near-duplicates; and the ``--group`` that cures."""

from __future__ import annotations

import re
from typing import Any

from fer_tune.data.preparing.cleaning.hygiene import Group
from fer_tune.data.preparing.cleaning.near import Nearest
from fer_tune.data.preparing.readers.base import Sample

SHARE = 0.05
"""Of a split drawn by chance: with more near-duplicates in train than that it is warned of. FER2013, whose images come
one by one from the web, has 2.5 % (89 of 3,589, measured); three frames of a sequence, as in CK+48, give all."""

_FEWEST = 5  # groups; with fewer, train, val and test hardly have one each of a fair size
_EXPRESSIONS = (
    r"(?i)(?:subject|subj|sub|person|participant|actor|character|s|p)[-_]?\d+",  # somebody is named
    r"([^/]+)/[^/]+$",  # the folder is a clip or a person
    r"([^/_-]+)[_-][^/]*$",  # what the file name begins with
    r"([^/]+?)[-_. ]*\d+\.\w+$",  # all of it but the number of the frame
)
"""What may tell frames of one person or clip apart from others, the widest first."""


def warn_of_frames(
    splits: dict[str, Any], report: dict[str, Any], near_twins: tuple[list[Group], Nearest], samples: list[Sample]
) -> list[str]:
    """Return a warning for val and test where many have near-duplicates in train, and samples have no groups.

    Args:
        splits: what the card says of how samples were divided.
        report: of :meth:`~fer_tune.data.preparing.cleaning.hygiene.Hygiene.report`, with near-duplicates.
        near_twins: of :meth:`~fer_tune.data.preparing.cleaning.hygiene.Hygiene.near_groups`.
        samples: all of them.
    """
    is_divided = splits.get("split") == "random"  # by chance, though there may be groups
    if any(sample.group for sample in samples) and not is_divided:
        return []
    by_chance = {"test": is_divided, "val": str(splits.get("validation", "")).startswith("stratified")}
    warnings = []
    for split, is_drawn in by_chance.items():
        kept = report["splits"][split]["kept"]
        count = report["near_duplicates"]["across"][f"{split} with a near twin in train"]
        how = "which was drawn by chance" if is_drawn else "as published"
        if count > SHARE * kept:
            warnings.append(
                f"{count:,} of {kept:,} images of {split}, {how}, "
                f"are nearly the same as one of train, as frames of one film are: figures on {split} will be too good. "
                f"{_cure(near_twins, samples)}"
            )
    return warnings


def _cure(near_twins: tuple[list[Group], Nearest], samples: list[Sample]) -> str:
    if any(sample.group for sample in samples):
        return "Leave --split random out: the groups are known"
    groups, found = near_twins
    pairs = [
        (groups[place].entries[0].source, groups[other].entries[0].source)
        for place, other in enumerate(found.index)
        if other >= 0
    ]
    expression = _telling(pairs, samples)
    if expression is None:
        return (
            "Keep people or clips on one side with --group EXPRESSION; no expression that was tried finds them in paths"
        )
    named = re.search(expression, pairs[0][0])
    example = (named[1] if named.re.groups else named[0]) if named else ""
    return f"Keep people or clips on one side: --group {expression!r} finds {example!r} in {pairs[0][0]}"


def _telling(pairs: list[tuple[str, str]], samples: list[Sample]) -> str | None:
    """Return the first expression that finds the same group in nearly all pairs, and enough groups in all.

    A group a class is none: it would leave classes out.
    """

    def group(pattern: re.Pattern[str], source: str) -> str:
        match = pattern.search(source)
        return (match[1] if pattern.groups else match[0]) if match else ""

    for expression in _EXPRESSIONS:
        pattern = re.compile(expression)
        same = sum(bool(one := group(pattern, a)) and one == group(pattern, b) for a, b in pairs)
        if same < 0.9 * len(pairs):
            continue
        found = [group(pattern, sample.source) for sample in samples]
        groups, labels = set(found), {sample.label for sample in samples}
        both = {(name, sample.label) for name, sample in zip(found, samples, strict=True)}
        is_class = len(both) == len(groups) == len(labels)
        if "" not in groups and _FEWEST <= len(groups) <= len(samples) / 2 and not is_class:
            return expression
    return None
