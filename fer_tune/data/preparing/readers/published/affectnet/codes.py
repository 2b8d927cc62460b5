"""What the layouts of AffectNet share: the name and its codes.

Source: Mollahosseini, Hasani and Mahoor 2017, "AffectNet: A Database for Facial Expression, Valence, and Arousal
Computing in the Wild" (arXiv 1708.03985). Its validation set, 500 images a class, is what figures are given on: nothing
is published as a test.
"""

from __future__ import annotations

NAME = "affectnet"
CODES: dict[str, str] = {
    "0": "neutral",
    "1": "happy",
    "2": "sad",
    "3": "surprise",
    "4": "fear",
    "5": "disgust",
    "6": "angry",
    "7": "contempt",
    "8": "",  # none of these
    "9": "",  # uncertain
    "10": "",  # no face
}
"""Code -> emotion; an empty string where there is none."""
EMPTY = {"8": "none of the emotions", "9": "uncertain", "10": "no face"}
NOTE = "valence and arousal are not read"
