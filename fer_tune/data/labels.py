"""The names of the seven basic emotions, their order, and what else they are called."""

from __future__ import annotations

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The classes of the seven-emotion datasets; a label is an index into this, whatever codes the raw dataset uses."""

_ALIASES: dict[str, str] = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "joyful": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}


def canonical(name: str) -> str | None:
    """Return the emotion of :data:`EMOTIONS` that ``name`` means, or None.

    >>> canonical("Joy"), canonical("SURPRISE "), canonical("bored")
    ('happy', 'surprise', None)
    """
    key = name.strip().lower()
    return key if key in EMOTIONS else _ALIASES.get(key)
