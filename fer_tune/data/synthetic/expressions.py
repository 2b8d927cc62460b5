"""What the muscles of a face do in each emotion, as graded and as ambiguous as in people.

The prototypes follow the action units that Ekman, Friesen and Hager (FACS Investigator's Guide, 2002) list for the
basic emotions, with their variants: a smile may show teeth or not, anger may press the lips or bare the teeth. No part
of the face tells the emotion alone: variants share brows or mouths with other emotions, single muscles may not take
part, people talk and blink, and a weak expression is close to a neutral face.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_tune.data.labels import EMOTIONS
from fer_tune.data.synthetic.faces import ACTION_UNITS

PROTOTYPES: dict[str, tuple[dict[str, float], ...]] = {
    "angry": (
        {"brow_lowerer": 1.0, "lid_tightener": 0.8, "lip_presser": 1.0, "chin_raiser": 0.4},
        {"brow_lowerer": 1.0, "upper_lid_raiser": 0.7, "lid_tightener": 0.5, "lip_presser": 0.8},
        {"brow_lowerer": 1.0, "lid_tightener": 0.6, "upper_lip_raiser": 0.4, "lips_part": 0.9, "lip_stretcher": 0.3},
        {"brow_lowerer": 0.9, "upper_lid_raiser": 0.6, "jaw_drop": 0.6, "lips_part": 0.9, "upper_lip_raiser": 0.3},
    ),
    "disgust": (
        {"nose_wrinkler": 1.0, "upper_lip_raiser": 0.5, "lid_tightener": 0.4, "brow_lowerer": 0.3, "chin_raiser": 0.4},
        {"nose_wrinkler": 0.6, "upper_lip_raiser": 1.0, "lip_corner_depressor": 0.6, "chin_raiser": 0.7},
        {"nose_wrinkler": 0.8, "upper_lip_raiser": 0.8, "lips_part": 0.8, "jaw_drop": 0.3, "brow_lowerer": 0.4},
    ),
    "fear": (
        {
            "inner_brow_raiser": 0.9,
            "outer_brow_raiser": 0.5,
            "brow_lowerer": 0.6,
            "upper_lid_raiser": 0.9,
            "lip_stretcher": 0.8,
            "lips_part": 0.7,
        },
        {
            "inner_brow_raiser": 0.9,
            "brow_lowerer": 0.5,
            "upper_lid_raiser": 0.8,
            "lid_tightener": 0.3,
            "lip_stretcher": 0.9,
            "jaw_drop": 0.3,
            "lips_part": 0.8,
        },
        {
            "inner_brow_raiser": 1.0,
            "outer_brow_raiser": 0.8,
            "brow_lowerer": 0.5,
            "upper_lid_raiser": 1.0,
            "jaw_drop": 0.6,
            "lip_stretcher": 0.5,
        },
    ),
    "happy": (
        {"cheek_raiser": 0.9, "lip_corner_puller": 1.0, "lips_part": 0.9},
        {"cheek_raiser": 0.6, "lip_corner_puller": 0.8},
        {"cheek_raiser": 1.0, "lip_corner_puller": 1.0, "lips_part": 0.8, "jaw_drop": 0.5},
        {"cheek_raiser": 0.7, "lip_corner_puller": 0.7, "outer_brow_raiser": 0.4, "inner_brow_raiser": 0.3},
    ),
    "neutral": ({},),
    "sad": (
        {"inner_brow_raiser": 1.0, "brow_lowerer": 0.4, "lip_corner_depressor": 0.8, "chin_raiser": 0.5},
        {"inner_brow_raiser": 0.8, "lip_corner_depressor": 1.0, "chin_raiser": 0.8, "lip_presser": 0.3},
        {"inner_brow_raiser": 1.0, "brow_lowerer": 0.5, "eyes_closed": 0.35, "lip_corner_depressor": 0.5},
        {"inner_brow_raiser": 0.9, "brow_lowerer": 0.6, "cheek_raiser": 0.5, "lip_stretcher": 0.5, "lips_part": 0.5},
    ),
    "surprise": (
        {
            "inner_brow_raiser": 0.9,
            "outer_brow_raiser": 1.0,
            "upper_lid_raiser": 0.8,
            "jaw_drop": 0.9,
            "lips_part": 0.3,
        },
        {"inner_brow_raiser": 0.8, "outer_brow_raiser": 0.9, "upper_lid_raiser": 0.6, "jaw_drop": 0.4},
        {"inner_brow_raiser": 0.9, "outer_brow_raiser": 0.9, "upper_lid_raiser": 0.9, "lips_part": 0.4},
    ),
}
"""Emotion -> its variants; a variant gives the strength in [0, 1] of each muscle in the full expression."""

WEAKEST = 0.5
"""Intensity of the weakest expression that still bears its emotion's label; the strongest has 1."""

_NAMES = tuple(ACTION_UNITS)
_ABSENT = 0.08  # chance that a muscle of the prototype stays at rest
_STRAY = 0.06  # chance that a muscle moves without being part of the expression
_TALKING = 0.10
_BLINKING = 0.04
_BLENDED = 0.06  # chance that a second emotion shows through

_TABLE: dict[str, npt.NDArray[np.float64]] = {
    emotion: np.array([[variant.get(name, 0.0) for name in _NAMES] for variant in variants])
    for emotion, variants in PROTOTYPES.items()
}


def sample_action_units(
    labels: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[dict[str, npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """Draw what the muscles do in expressions of given emotions.

    Args:
        labels: (N,), indices into :data:`~fer_tune.data.labels.EMOTIONS`.
        rng: source of all chance.

    Returns:
        Muscle -> its strength, float32 (N,) in [0, 1]; and the intensity of each expression, float32 (N,) in
        [:data:`WEAKEST`, 1] (0 for neutral).
    """
    count = len(labels)
    intensity = WEAKEST + (1.0 - WEAKEST) * rng.beta(1.8, 1.0, count)
    strength = _full(labels, rng) * intensity[:, None]
    strength *= np.clip(1.0 + 0.2 * rng.standard_normal(strength.shape), 0.3, 1.7)
    strength *= rng.random(strength.shape) >= _ABSENT
    second = 0.4 * intensity[:, None] * _full(rng.integers(0, len(EMOTIONS), count), rng)
    strength = np.where(rng.random((count, 1)) < _BLENDED, np.maximum(strength, second), strength)
    stray = rng.uniform(0.05, 0.3, strength.shape) * (rng.random(strength.shape) < _STRAY)
    strength = np.maximum(strength, stray)
    units = {name: strength[:, place] for place, name in enumerate(_NAMES)}
    talking = rng.random(count) < _TALKING
    units["jaw_drop"] = np.maximum(units["jaw_drop"], talking * rng.uniform(0.1, 0.6, count))
    units["lips_part"] = np.maximum(units["lips_part"], talking * rng.uniform(0.3, 1.0, count))
    blinking = rng.random(count) < _BLINKING
    units["eyes_closed"] = np.maximum(units["eyes_closed"], blinking * rng.uniform(0.6, 1.0, count))
    units["lip_presser"] = units["lip_presser"] * (1.0 - np.maximum(units["lips_part"], units["jaw_drop"]).clip(0, 1))
    neutral = labels == EMOTIONS.index("neutral")
    return (
        {name: np.clip(unit, 0.0, 1.0).astype(np.float32) for name, unit in units.items()},
        np.where(neutral, 0.0, intensity).astype(np.float32),
    )


def _full(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return a variant of each label's expression at full intensity, (N, muscles)."""
    chosen = rng.random(len(labels))
    full = np.zeros((len(labels), len(_NAMES)))
    for label, emotion in enumerate(EMOTIONS):
        mine = labels == label
        variants = _TABLE[emotion]
        full[mine] = variants[(chosen[mine] * len(variants)).astype(np.int64)]
    return full
