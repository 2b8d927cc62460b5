"""The names of the basic emotions, their order, and what else they are called: the one place that knows synonyms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The classes of the seven-emotion datasets; a label is an index into this, whatever codes the raw dataset uses."""
CONTEMPT = "contempt"
EIGHT: tuple[str, ...] = tuple(sorted((*EMOTIONS, CONTEMPT)))
"""The classes of AffectNet, FER+ and others that know contempt."""

_ALIASES: dict[str, str] = {
    "anger": "angry",
    "angriness": "angry",
    "mad": "angry",
    "contemptuous": CONTEMPT,
    "disdain": CONTEMPT,
    "disgusted": "disgust",
    "disgusting": "disgust",
    "digust": "disgust",  # misspelt so in datasets that are passed on
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "scary": "fear",
    "happiness": "happy",
    "joy": "happy",
    "joyful": "happy",
    "neutrality": "neutral",
    "sadness": "sad",
    "surprised": "surprise",
    "suprise": "surprise",  # misspelt so in datasets that are passed on
    "suprised": "surprise",
}
_KNOWN = {name: name for name in EIGHT} | _ALIASES
_FILLING = frozenset({"class", "emotion", "emotions", "expression", "face", "faces", "images", "label"})


def canonical(name: str) -> str | None:
    """Return the emotion of :data:`EIGHT` that ``name`` means, or None; numbers and words such as face do not count.

    >>> canonical("Joy"), canonical("0_Angry"), canonical("SURPRISE faces"), canonical("bored")
    ('happy', 'angry', 'surprise', None)
    """
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if word and word not in _FILLING]
    return _KNOWN.get(words[0]) if len(words) == 1 else None


def emotions_within(name: str) -> set[str]:
    """Return the emotions that single words of ``name`` mean.

    >>> emotions_within("S01_happy_3.png"), emotions_within("cat")
    ({'happy'}, set())
    """
    return {emotion for word in re.split(r"[\W\d_]+", name) if (emotion := canonical(word))}


def spelt(name: str) -> str:
    """Return the emotion that ``name`` means, or the name as it is.

    >>> spelt("Anger"), spelt("bored")
    ('angry', 'bored')
    """
    return canonical(name) or name


def class_names(names: Iterable[str]) -> dict[str, str]:
    """Return each of ``names`` with its class: the emotion it means, else the first of those that differ in case alone.

    >>> class_names(["Anger", "angry", "Bored", "bored"])
    {'Anger': 'angry', 'angry': 'angry', 'Bored': 'Bored', 'bored': 'Bored'}
    """
    first: dict[str, str] = {}
    return {name: canonical(name) or first.setdefault(name.strip().casefold(), name) for name in names}


def read_as_one(classes: Mapping[str, str]) -> list[str]:
    """Return a sentence for each class that several of the names of `class_names` mean.

    >>> read_as_one({"Anger": "angry", "angry": "angry", "sad": "sad"})
    ["read as one class, 'angry': 'Anger', 'angry'"]
    """
    names: dict[str, list[str]] = {}
    for name, own in classes.items():
        names.setdefault(own, []).append(name)
    return [
        f"read as one class, {own!r}: {', '.join(map(repr, sorted(several)))}"
        for own, several in sorted(names.items())
        if len(several) > 1
    ]
