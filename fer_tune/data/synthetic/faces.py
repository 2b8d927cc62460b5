"""Draws stylised cartoon faces: named parameters -> grey images.

A face is a stack of soft-edged shapes given by signed distances, evaluated for a whole batch at once. The head is an
ellipsoid that turns under a light, the muscles are the action units of the Facial Action Coding System (Ekman,
Friesen and Hager, 2002), and who the person is, where they look and how they are lit are parameters of the same kind.
Only operations that IEEE 754 rounds exactly are used on pixels (no exp, no sin), so that the same parameters give
the same bytes on every machine.

Lengths are in units of half the head's height; u points to the right of the image, v down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fer_tune.data.synthetic import face_features as features
from fer_tune.data.synthetic.face_shapes import Array, Layer, cover, ellipse, over

SIDE = 48
"""Height and width of a face, in pixels."""

_BATCH = 16  # faces drawn together: the working arrays stay in the cache

ACTION_UNITS: dict[str, str] = {
    "inner_brow_raiser": "AU1",
    "outer_brow_raiser": "AU2",
    "brow_lowerer": "AU4",
    "upper_lid_raiser": "AU5",
    "cheek_raiser": "AU6",
    "lid_tightener": "AU7",
    "nose_wrinkler": "AU9",
    "upper_lip_raiser": "AU10",
    "lip_corner_puller": "AU12",
    "lip_corner_depressor": "AU15",
    "chin_raiser": "AU17",
    "lip_stretcher": "AU20",
    "lip_presser": "AU24",
    "lips_part": "AU25",
    "jaw_drop": "AU26",
    "eyes_closed": "AU43",
}
"""Muscles: each is 0 at rest and 1 at its strongest."""

IDENTITY: dict[str, float] = {
    "head_width": 0.80,  # half width of the head
    "jaw": 0.15,  # how much the head narrows towards the chin
    "skin": 0.70,  # grey of the skin, 0 black to 1 white
    "hair_tone": 0.20,
    "hair_volume": 0.10,  # how far the hair stands off the head
    "hair_length": 0.10,  # v at which the hair at the sides ends
    "hairline": -0.76,  # v at which the fringe ends, at the middle
    "parting": 0.0,  # slope of the fringe
    "fringe_curve": 0.55,  # how far the fringe comes down at the temples
    "eye_size": 1.42,
    "eye_spacing": 0.385,  # from the middle to the centre of an eye
    "eye_slant": 0.0,  # of the outer corner; positive is down
    "iris_tone": 0.15,
    "lid_rest": 1.0,  # how far the eyes are open at rest
    "brow_height": 0.44,  # above the middle of the head
    "brow_tilt": 0.0,  # at rest; positive: the outer end hangs
    "brow_arch": 0.05,
    "brow_thickness": 0.067,
    "brow_tone": 0.15,
    "nose_length": 0.24,  # v of its tip
    "nose_width": 0.12,
    "mouth_height": 0.54,  # v of the mouth
    "mouth_width": 0.37,
    "mouth_curve": 0.0,  # at rest; positive: the corners hang
    "lip_thickness": 0.065,
    "lip_tone": -0.16,  # added to the skin's grey
    "glasses": 0.0,  # 0 none to 1 black frames
    "beard": 0.0,  # 0 none to 1 full
}
"""What stays with a character, with the values of an average one."""

VIEW: dict[str, float] = {
    "roll": 0.0,  # radians; positive turns the head clockwise in the image
    "yaw": 0.0,  # radians; positive turns the face to the right of the image
    "pitch": 0.0,  # radians; positive is down
    "scale": 25.0,  # half the head's height, in pixels
    "shift_x": 0.0,  # pixels
    "shift_y": 0.0,
    "gaze_x": 0.0,  # -1 to 1
    "gaze_y": 0.0,
    "asymmetry": 0.0,  # muscles of the right of the image are stronger by this share, those of the left weaker
    "light_x": 0.0,  # from where the light comes, -1 to 1
    "light_y": -0.4,
    "ambient": 0.6,  # share of the light that comes from everywhere
    "background": 0.5,
    "background_slope": 0.0,
    "occluder_x": 0.0,  # pixels from the centre of the image
    "occluder_y": 0.0,
    "occluder_radius": 0.0,  # pixels; 0 is none
    "occluder_tone": 0.5,
}
"""What changes from one picture to the next, beside the muscles."""

DEFAULTS: dict[str, float] = {**IDENTITY, **dict.fromkeys(ACTION_UNITS, 0.0), **VIEW}
"""All parameters of a face, with the values that draw an average face at rest, seen from the front."""

_ODD = ("roll", "yaw", "shift_x", "gaze_x", "asymmetry", "light_x", "background_slope", "occluder_x", "parting")


class Sensor(NamedTuple):
    """What the camera adds to each face; arrays of shape (N,).

    Attributes:
        gain: contrast around middle grey, 1 for none.
        offset: brightness added, in [-1, 1].
        blur: 0 sharp to 1 for a 3x3 binomial filter.
        noise: standard deviation of the noise, in [0, 1].
    """

    gain: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]
    blur: npt.NDArray[np.float32]
    noise: npt.NDArray[np.float32]


def draw(parameters: Mapping[str, npt.ArrayLike], count: int | None = None) -> Array:
    """Draw faces, noise-free.

    Args:
        parameters: name (a key of :data:`DEFAULTS`) -> a number for all faces, or an array of shape (N,).
        count: number of faces N; where it is left out, the longest array says it.

    Returns:
        float32 (N, 48, 48), 0 black to 1 white.

    Raises:
        KeyError: a name is not one of :data:`DEFAULTS`.
    """
    for name in parameters:
        if name not in DEFAULTS:
            raise KeyError(f"{name!r} is not a parameter of a face")
    number = count if count is not None else max([1, *(np.size(value) for value in parameters.values())])
    columns = {
        name: np.broadcast_to(np.asarray(parameters.get(name, default), dtype=np.float32), (number,))
        for name, default in DEFAULTS.items()
    }
    images = np.empty((number, SIDE, SIDE), dtype=np.float32)
    for start in range(0, number, _BATCH):
        part = slice(start, start + _BATCH)
        images[part] = _draw({name: column[part, None, None] for name, column in columns.items()})
    return images


def expose(images: Array, sensor: Sensor, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Turn drawn faces into what a cheap camera would have stored: blurred, noisy, badly exposed.

    Args:
        images: float32 (N, 48, 48) from :func:`draw`.
        sensor: its settings for each face.
        rng: draws the noise; N x 48 x 48 normal deviates are taken from it.

    Returns:
        uint8 (N, 48, 48).
    """
    exposed = np.empty(images.shape, dtype=np.uint8)
    for start in range(0, len(images), _BATCH):
        part = slice(start, start + _BATCH)
        sharp = images[part]
        padded = np.pad(sharp, ((0, 0), (1, 1), (1, 1)), mode="edge")
        rows = 0.25 * (padded[:, :-2] + padded[:, 2:]) + 0.5 * padded[:, 1:-1]
        soft = 0.25 * (rows[:, :, :-2] + rows[:, :, 2:]) + 0.5 * rows[:, :, 1:-1]
        image = sharp + sensor.blur[part, None, None] * (soft - sharp)
        image = 0.5 + sensor.offset[part, None, None] + sensor.gain[part, None, None] * (image - 0.5)
        image += sensor.noise[part, None, None] * rng.standard_normal(image.shape, dtype=np.float32)
        exposed[part] = np.rint(np.clip(image, 0.0, 1.0) * np.float32(255.0)).astype(np.uint8)
    return exposed


def mirrored(parameters: Mapping[str, npt.ArrayLike]) -> dict[str, npt.ArrayLike]:
    """Return the parameters that draw the mirror images (left and right exchanged) of these faces."""
    return {name: -np.asarray(value) if name in _ODD else value for name, value in parameters.items()}


def _draw(p: Layer) -> Array:
    """Draw one batch; the parameters have shape (B, 1, 1)."""
    steps = np.arange(SIDE, dtype=np.float32) - np.float32((SIDE - 1) / 2)
    across, down = steps[None, None, :], steps[None, :, None]
    x, y = across - p["shift_x"], down - p["shift_y"]
    cos, sin = _turn(p["roll"])
    u, v = (cos * x + sin * y) / p["scale"], (cos * y - sin * x) / p["scale"]
    edge = np.float32(1.1) / p["scale"]

    canvas = np.clip(p["background"] + p["background_slope"] * (across / SIDE), 0.0, 1.0) + 0 * u
    length = 1.0 + 0.07 * p["jaw_drop"] * np.maximum(v, 0)  # the chin goes down with the jaw
    narrow = 1.0 - p["jaw"] * np.maximum(v, 0) * np.maximum(v, 0)
    hat_u, hat_v = u / (p["head_width"] * narrow), v / length
    radius2 = hat_u * hat_u + hat_v * hat_v
    depth = np.sqrt(np.maximum(1.0 - radius2, 0.0))  # of the ellipsoid's surface, towards the viewer
    lit = p["light_x"] * hat_u + p["light_y"] * hat_v + (1.0 - 0.3 * np.abs(p["light_x"])) * depth
    shade = p["ambient"] + (1.0 - p["ambient"]) * np.clip(lit, 0.0, 1.1)
    head = (np.sqrt(radius2) - 1.0) * p["head_width"]

    features.hair_behind(canvas, p, u, v, edge)
    neck = np.maximum(np.abs(u) - 0.42 * p["head_width"], 0.6 - v)
    over(canvas, p["skin"] * (0.55 * p["ambient"] + 0.15), cover(neck, edge))
    ears = ellipse(np.abs(u) - p["head_width"] * 1.0, v - 0.02, np.float32(0.11), np.float32(0.2))
    over(canvas, p["skin"] * (0.75 * shade + 0.05), cover(ears, edge))
    inside = cover(head, edge)

    # Where on the head a pixel falls: the ellipsoid is turned back to the front. Features are drawn in these
    # coordinates, so they shift and foreshorten as the head turns.
    cos_yaw, sin_yaw = _turn(p["yaw"])
    cos_pitch, sin_pitch = _turn(p["pitch"])
    turned = hat_u * cos_yaw - depth * sin_yaw
    ahead = depth * cos_yaw + hat_u * sin_yaw
    face_u = turned * p["head_width"] * narrow
    face_v = hat_v * cos_pitch - ahead * sin_pitch
    face = np.broadcast_to(p["skin"] * shade, u.shape).copy()
    place = features.Place(face_u, face_v, edge, np.abs(face_u), np.where(face_u > 0, np.float32(1), np.float32(-1)))
    lower, upper = place.rows(-0.45, 1.3), place.rows(-0.9, 0.3)  # most parts need half of the rows
    jaws, lids = place.crop(lower), place.crop(upper)
    features.beard(face[:, lower], p, jaws, shade[:, lower])
    features.wrinkles(face, p, place)
    features.nose(face[:, lower], p, jaws, sin_yaw)
    features.mouth(face[:, lower], p, jaws, shade[:, lower])
    features.eyes(face[:, upper], p, lids)
    features.fringe(face, p, place, shade)
    features.brows(face[:, upper], p, lids)
    features.glasses(face[:, upper], p, lids)
    canvas += (face - canvas) * inside
    over(canvas, 0.35 * p["skin"], 0.5 * cover(np.abs(head) - 0.3 * edge, edge))

    blob = np.sqrt((across - p["occluder_x"]) ** 2 + (down - p["occluder_y"]) ** 2) - p["occluder_radius"]
    over(canvas, p["occluder_tone"], cover(blob, np.float32(1.5)) * (p["occluder_radius"] > 0))
    return np.clip(canvas, 0.0, 1.0)


def _turn(angle: Array) -> tuple[Array, Array]:
    """Return the cosine and the sine of ``angle`` (radians), taken in float64 and then rounded."""
    wide = angle.astype(np.float64)
    return np.cos(wide).astype(np.float32), np.sin(wide).astype(np.float32)
