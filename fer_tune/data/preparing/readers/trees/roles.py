"""What the names of folders at one level of a tree look like: persons, folds, lighting, angles, codes; not emotions."""

from __future__ import annotations

import re
from collections.abc import Collection

_PERSON = re.compile(
    r"(?:sub|subj|subject|person|pers|participant|part|proband|identity|id|user|actor|actress|face|vp|people"
    r"|s|p|f|m|af|am|bf|bm)[-_ ]?\d{1,5}[a-z]?",
    re.IGNORECASE | re.ASCII,
)
_NUMBERED_PERSON = re.compile(r"\d{2,5}", re.ASCII)
_SESSION = re.compile(
    r"(?:session|sess|ses|take|trial|recording|rec|clip|video|vid|seq|sequence|day|run)[-_ ]?\d*[a-z]?", re.IGNORECASE
)
_FOLD = re.compile(
    r"(?:[k\d]*[-_ ]?fold|cv|cross[-_ ]?validation|split|batch|chunk|shard|partition|bin|set|subset|folder|zip|volume)"
    r"(?:[-_ ]?(?:fold|split|no))?[-_ ]?\d+",
    re.IGNORECASE | re.ASCII,
)
_LIGHTING = frozenset(
    [
        "ni",
        "vl",
        "nir",
        "vis",
        "ir",
        "rgb",
        "visible",
        "infrared",
        "strong",
        "weak",
        "dark",
        "light",
        "bright",
        "normal",
        "indoor",
        "outdoor",
        "day",
        "night",
        "daylight",
        "dim",
        "lighting",
        "illumination",
        "left",
        "right",
        "frontal",
        "profile",
        "front",
    ]
)
_VIEWS = frozenset(
    [
        *("left", "right", "front", "frontal", "profile", "straight", "half", "full", "side", "centre", "center"),
        *("middle", "up", "down", "above", "below", "tilted", "view", "angle", "pose", "camera", "cam"),
        *("yaw", "pitch", "roll", "deg", "degrees"),
    ]
)
_STORAGE = frozenset(
    [
        "images",
        "image",
        "img",
        "imgs",
        "annotations",
        "annotation",
        "labels",
        "label",
        "data",
        "raw",
        "original",
        "origin",
        "aligned",
        "faces",
        "crops",
        "cropped",
        "frames",
        "jpg",
        "png",
    ]
)
_MOST = 0.8  # of the names of a level; a folder of notes among the persons does not hide them
_CODE = re.compile(r"(?:class|label|emotion)?[-_ ]?0*\d{1,2}", re.IGNORECASE | re.ASCII)


def role_of(names: Collection[str]) -> str:
    """Return what ``names``, the folders of one level, look like, or "" where they look like nothing in particular.

    >>> role_of(["AF01", "AM02"]), role_of(["Strong", "Weak"]), role_of(["fold_0", "fold_1"]), role_of(["cat", "dog"])
    ('persons', 'lighting', 'folds', '')
    """
    for role, fits in (
        ("codes", _is_code),
        ("folds", lambda name: bool(_FOLD.fullmatch(name))),
        ("persons", lambda name: bool(_PERSON.fullmatch(name) or _NUMBERED_PERSON.fullmatch(name))),
        ("sessions", lambda name: bool(_SESSION.fullmatch(name))),
        ("lighting", lambda name: bool(words := _words(name)) and words <= _LIGHTING),
        ("angles or cameras", lambda name: bool(words := _words(name)) and words <= _VIEWS),
        ("kinds of files", lambda name: bool(words := _words(name)) and words <= _STORAGE),
    ):
        if names and sum(map(fits, names)) >= _MOST * len(names):
            return role
    return ""


def _is_code(name: str) -> bool:
    return bool(_CODE.fullmatch(name)) and int(re.sub(r"\D", "", name)) <= 10  # AffectNet's 11 are the most there are


def _words(name: str) -> set[str]:
    return {word for word in re.split(r"[\W\d_]+", name.lower()) if word}
