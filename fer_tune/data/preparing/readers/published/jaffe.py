"""JAFFE: ``KA.AN1.39.tiff`` is person KA, angry, first picture, number 39; one flat folder, 256x256 grey.

Source: Lyons et al. 1998, "Coding facial expressions with Gabor wavelets". 213 images of ten women, seven emotions;
nothing is published as a split, and figures are given leaving people out.
"""

from __future__ import annotations

import re
from pathlib import Path

from fer_tune.data.preparing.readers.base import RawDataset
from fer_tune.data.preparing.readers.trees.by_name import mostly_named, read_named

FORMAT = "jaffe"
NEEDS = "images named like KA.AN1.39.tiff: person, emotion (AN, DI, FE, HA, NE, SA, SU), numbers"
NAME = "jaffe"

CODES = {
    "AN": "angry",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}
_NAMED = re.compile(r"(?P<person>[A-Z]{2})[._-](?P<emotion>AN|DI|FE|HA|NE|SA|SU)\d*[._-]\d+\b", re.IGNORECASE)


def recognises(path: Path) -> bool:
    """Tell whether most images below ``path`` are named so."""
    return mostly_named(path, _NAMED)


def read(path: Path) -> RawDataset:
    """Scan the images.

    Raises:
        UserError: none is named so.
    """
    return read_named(path, _NAMED, CODES, lambda match: match["person"].upper(), name=NAME, needs=NEEDS)
