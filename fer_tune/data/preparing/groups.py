"""Groups of a dataset that names none itself: found in the paths of samples by a regular expression."""

from __future__ import annotations

import re

from fer_tune.data.preparing.readers.base import Sample
from fer_tune.errors import UserError

_FIRST = 3  # samples named in a message


def grouped(samples: list[Sample], expression: str) -> list[Sample]:
    r"""Return the samples with their groups.

    The group is what the first parenthesis of ``expression`` matches in the sample's path, or all of the match where
    there is no parenthesis: ``subject(\d+)`` makes ``happy/subject07_3.png`` group ``07``.

    Raises:
        UserError: the expression is none, or finds no group in a sample.
    """
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise UserError(f"--group {expression!r}: not a regular expression: {error}") from None
    found, without = [], []
    for sample in samples:
        match = pattern.search(sample.source)
        group = (match[1] if pattern.groups else match[0]) if match else None
        if group:
            found.append(sample._replace(group=group))
        else:
            without.append(sample.source)
    if without:
        more = f" and {len(without) - _FIRST} more" if len(without) > _FIRST else ""
        raise UserError(f"--group {expression!r}: finds no group in {', '.join(without[:_FIRST])}{more}")
    return found


def without_crossing(found: dict[str, list[Sample]]) -> tuple[dict[str, list[Sample]], dict[str, int]]:
    """Take from train the groups that stand in val or test too, and from val those that stand in test.

    Returns:
        Split -> samples left; split -> number of samples taken out.
    """
    test = {sample.group for sample in found["test"]}
    val = [sample for sample in found["val"] if sample.group not in test]
    later = test | {sample.group for sample in val}
    train = [sample for sample in found["train"] if sample.group not in later]
    if not train:
        raise UserError(
            "every group (person) of train stands in val or test too, so that nothing is left to train on; is --group "
            "right? --split character puts the published parts together and divides them anew by groups"
        )
    taken = {"train": len(found["train"]) - len(train), "val": len(found["val"]) - len(val)}
    return {"train": train, "val": val, "test": found["test"]}, taken
