"""What the layouts of CK+ share: the name, its codes, and the person in a file's name.

Source: Lucey et al. 2010, "The Extended Cohn-Kanade Dataset (CK+)". 593 sequences of 123 people from neutral to the
peak of an expression, 327 of them with one of seven emotions, contempt among them. Nothing is published as a split;
figures are given leaving people out.
"""

from __future__ import annotations

import re

NAME = "ckplus"
CODES: dict[str, str] = {
    "0": "neutral",
    "1": "angry",
    "2": "contempt",
    "3": "disgust",
    "4": "fear",
    "5": "happy",
    "6": "sad",
    "7": "surprise",
}
"""Of the files ``*_emotion.txt``."""
CSV_CODES: dict[str, str] = {
    "0": "angry",
    "1": "disgust",
    "2": "fear",
    "3": "happy",
    "4": "sad",
    "5": "surprise",
    "6": "neutral",
    "7": "contempt",
}
"""Of ``ckextended.csv``, which follows FER2013's."""
FRAME = re.compile(r"(?P<person>S\d{3})_(?P<sequence>\d{3})_(?P<frame>\d{6,8})\b", re.IGNORECASE | re.ASCII)
"""A frame's file name, such as ``S010_004_00000017.png``."""
