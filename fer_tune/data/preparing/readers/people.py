"""Who is shown, as file names tell it: ``S010_004_00000017.png``, ``subject07_happy_3.jpg``."""

from __future__ import annotations

import re
from collections import Counter

from fer_tune.data.preparing.readers.base import Sample

_NAMED = re.compile(
    r"(?:^|[/_.-])((?:subject|subj|sub|person|participant|actor|actress|character|proband|s|p)[-_]?\d{2,5})(?=[_.-])",
    re.IGNORECASE | re.ASCII,
)
_SHOWN = 3


def people_in_names(samples: list[Sample]) -> tuple[list[Sample], str]:
    """Return the samples with their people as groups, and how these are known; as they are where names tell nobody.

    Names tell people where every one has a person in it, there are at least three, and they have on average at least
    two images and two classes each: numbers of images fail that.
    """
    found = [match[1] if (match := _NAMED.search(sample.source.rpartition("/")[2])) else "" for sample in samples]
    counts = Counter(found)
    classes = {(person, sample.label) for person, sample in zip(found, samples, strict=True)}
    if "" in counts or len(counts) < 3 or len(samples) < 2 * len(counts) or len(classes) < 2 * len(counts):
        return samples, ""
    shown = ", ".join(sorted(counts)[:_SHOWN])
    grouped = [sample._replace(group=person) for sample, person in zip(samples, found, strict=True)]
    return grouped, f"the beginning of the file names ({shown}, ...)"
