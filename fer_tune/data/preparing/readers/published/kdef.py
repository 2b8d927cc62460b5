"""KDEF: ``AF01ANS.JPG`` is session A, female 01, angry, seen straight; in a folder a person and session, or in one.

Source: Lundqvist, Flykt and Öhman 1998, "The Karolinska Directed Emotional Faces" (kdef.se). 4,900 images of 562x762
pixels, RGB: 70 people, two sessions, seven emotions, five angles (full and half profiles, straight). The sessions A and
B show the same people, so that the person is F01, not AF01.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.trees.by_name import mostly_named, read_named

FORMAT = "kdef"
NEEDS = "images named like AF01ANS.JPG: session, sex and person, emotion (AF, AN, DI, HA, NE, SA, SU), angle"
NAME = "kdef"

CODES = {
    "AF": "fear",  # afraid
    "AN": "angry",
    "DI": "disgust",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}
_NAMED = re.compile(
    r"[AB](?P<person>[FM]\d{2})(?P<emotion>AF|AN|DI|HA|NE|SA|SU)(?P<angle>FL|FR|HL|HR|S)\b", re.IGNORECASE | re.ASCII
)


def recognises(path: Path) -> bool:
    """Tell whether most images below ``path`` are named so."""
    return mostly_named(path, _NAMED)


def read(path: Path) -> RawDataset:
    """Scan the images of all angles.

    Raises:
        UserError: none is named so.
    """
    raw = read_named(path, _NAMED, CODES, lambda match: match["person"].upper(), name=NAME, needs=NEEDS)
    angles = {match["angle"].upper() for sample in raw.samples if (match := _NAMED.match(sample.place.name))}
    if len(angles) > 1:
        raw.notes.append(f"all angles are read ({', '.join(sorted(angles))}; S is straight, FL and FR full profiles)")
    return raw
