"""Who is shown, as file names tell it: ``S010_004_00000017.png``, ``subject07_happy_3.jpg``."""

from __future__ import annotations

import re
from collections import Counter

from fer_tune.data.labels import canonical
from fer_tune.data.preparing.readers.base import Sample

_NAMED = (
    re.compile(
        r"(?:^|[/_.-])((?:subject|subj|sub|person|participant|actor|actress|character|proband|s|p)[-_]?\d{2,5})(?=[_.-])",
        re.IGNORECASE | re.ASCII,
    ),
    re.compile(r"Rafd\d{3}_(\d{2})_", re.IGNORECASE | re.ASCII),  # the Radboud Faces Database: angle, person
)
_FEWEST = 3  # people; train, val and test need one each
_SHOWN = 3


def people_in_names(samples: list[Sample]) -> tuple[list[Sample], str]:
    """Return the samples with their people as groups, and how these are known; as they are where names tell nobody.

    Names tell people where every one has a person in it, there are at least three, and they have on average at least
    two images and two classes each: numbers of images fail that.
    """
    for pattern in _NAMED:
        found = [match[1] if (match := pattern.search(_file(sample))) else "" for sample in samples]
        if _are_people(found, samples):
            return _grouped(samples, found, "the file names")
    return samples, ""


def people_at_the_start(samples: list[Sample]) -> tuple[list[Sample], str]:
    """Return the samples with the first word of their names as groups, by the same rule: ``anna_happy_2.png``."""
    found = [re.split(r"[\W\d_]", _file(sample))[0] for sample in samples]
    if any(canonical(word) for word in found) or not _are_people(found, samples):
        return samples, ""
    return _grouped(samples, found, "the first words of the file names, which are taken for people")


def _file(sample: Sample) -> str:
    return sample.source.rpartition("/")[2]


def _are_people(found: list[str], samples: list[Sample]) -> bool:
    counts = Counter(found)
    classes = {(person, sample.label) for person, sample in zip(found, samples, strict=True)}
    enough = len(counts) >= _FEWEST and len(samples) >= 2 * len(counts) and len(classes) >= 2 * len(counts)
    return "" not in counts and enough


def _grouped(samples: list[Sample], found: list[str], told: str) -> tuple[list[Sample], str]:
    shown = ", ".join(sorted(set(found))[:_SHOWN])
    return [sample._replace(group=who) for sample, who in zip(samples, found, strict=True)], f"{told} ({shown}, ...)"
