"""The parts of a face: hair, beard, wrinkles, nose, mouth, eyes, brows, glasses.

Each function paints one part on a canvas (B, H, W) in place, from the parameters of `faces`. What a
muscle does to a part is written where the part is drawn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fer_tune.data.synthetic.face_shapes import Array, Layer, between, cover, ellipse, over, stroke

EYE_HEIGHT = np.float32(-0.10)  # v of the eyes


class Place(NamedTuple):
    """Where each pixel lies on the face, turned to the front; arrays (B, H, W)."""

    u: Array
    v: Array
    edge: Array  # (B, 1, 1): how far a pixel reaches
    out: Array  # |u|: both sides are drawn at once
    side: Array  # 1 at the right of the image, -1 at the left

    def rows(self, top: float, bottom: float) -> slice:
        """Return the rows of the images that hold every pixel with ``top`` < v < ``bottom``."""
        found = np.flatnonzero(((self.v > top) & (self.v < bottom)).any(axis=(0, 2)))
        return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)

    def crop(self, rows: slice) -> Place:
        """Return these rows alone."""
        return Place(self.u[:, rows], self.v[:, rows], self.edge, self.out[:, rows], self.side[:, rows])


def hair_behind(canvas: Array, p: Layer, u: Array, v: Array, edge: Array) -> None:
    """Paint the hair that is seen around the head."""
    around = ellipse(u, v, p["head_width"] + p["hair_volume"], 1.0 + p["hair_volume"])
    below = np.maximum(np.abs(u) - p["head_width"] - p["hair_volume"], -v)  # long hair falls straight
    shape = np.maximum(np.minimum(around, below), v - p["hair_length"])
    over(canvas, p["hair_tone"] * 0.8, cover(shape, edge) * (p["hair_volume"] > 0.02))


def fringe(canvas: Array, p: Layer, at: Place, shade: Array) -> None:
    """Paint the hair on the forehead."""
    line = p["hairline"] + p["parting"] * at.u + p["fringe_curve"] * at.u * at.u
    over(canvas, p["hair_tone"] * (0.6 + 0.5 * shade), cover(at.v - line, at.edge) * (p["hair_volume"] > 0.02))


def beard(canvas: Array, p: Layer, at: Place, shade: Array) -> None:
    """Darken the chin, the jaw and the upper lip."""
    reach = 0.36 + 0.25 * np.minimum(at.out, 0.3) - 1.1 * np.maximum(at.out - 0.38, 0.0)
    alpha = np.clip((at.v - reach) * 8.0, 0.0, 1.0) * p["beard"] * np.float32(0.8)
    over(canvas, p["hair_tone"] * shade + 0.08, alpha)


def wrinkles(canvas: Array, p: Layer, at: Place) -> None:
    """Darken the folds that muscles make: forehead, frown, bridge of the nose, cheeks."""
    dark = 0.55 * p["skin"]
    thin = 0.2 * at.edge
    raised = 0.5 * (p["inner_brow_raiser"] + p["outer_brow_raiser"]) * (1.0 - 0.5 * p["brow_lowerer"])
    for height in (-0.58, -0.68):
        over(
            canvas, dark, 0.45 * raised * cover(stroke(at.v, height + 0.12 * at.u * at.u, thin, at.out - 0.36), at.edge)
        )
    frown = np.maximum(np.abs(at.out - 0.07) - thin, np.abs(at.v + p["brow_height"] - 0.04) - 0.10)
    over(canvas, dark, 0.7 * p["brow_lowerer"] * cover(frown, at.edge))
    for height in (-0.17, -0.06):
        bridge = stroke(at.v, height + 0.5 * at.out, thin, at.out - 0.13)
        over(canvas, dark, 0.75 * p["nose_wrinkler"] * cover(bridge, at.edge))
    # From the wing of the nose past the corner of the mouth.
    top, end = p["nose_length"] - 0.06, p["mouth_height"] - 0.02
    way = np.clip((at.v - top) / (end - top), 0.0, 1.0)
    fold = np.abs(at.out - p["nose_width"] - 0.05 - 0.24 * way) - thin
    alpha = np.clip(0.75 * p["lip_corner_puller"] + 0.5 * p["nose_wrinkler"] + 0.5 * p["upper_lip_raiser"], 0.0, 0.9)
    over(canvas, dark, alpha * cover(between(at.v, top, end, fold), at.edge))
    pouch = at.out - p["eye_spacing"]
    cheek = stroke(at.v, EYE_HEIGHT + 0.21 - 1.2 * pouch * pouch, thin, np.abs(pouch) - 0.17)
    over(canvas, dark, 0.6 * p["cheek_raiser"] * cover(cheek, at.edge))


def nose(canvas: Array, p: Layer, at: Place, sin_yaw: Array) -> None:
    """Paint the nose; it stands off the face, so it moves further as the head turns."""
    u = at.u - 0.14 * sin_yaw
    tip = p["nose_length"] - 0.05 * p["nose_wrinkler"] - 0.02 * p["upper_lip_raiser"]
    width = p["nose_width"] * (1.0 + 0.25 * p["nose_wrinkler"] + 0.1 * p["lip_corner_puller"])
    # One flank lies in the shadow, as the light and the turn of the head say.
    shadow = np.clip(-p["light_x"] * 0.5 - 0.9 * sin_yaw, -0.5, 0.5)
    flank = ellipse(u, at.v - tip + 0.26, 0.7 * width, np.float32(0.28))
    lean = np.clip(u / width, -1.0, 1.0)
    over(canvas, 0.6 * p["skin"], np.clip(shadow * lean, 0.0, 0.5) * cover(flank, 2 * at.edge))
    ball = ellipse(u, at.v - tip + 0.03, 0.75 * width, 0.6 * width)
    over(canvas, 1.12 * p["skin"], 0.4 * cover(ball, 2 * at.edge))
    x = u / width
    base = stroke(at.v, tip + 0.055 - 0.06 * x * x, 0.35 * at.edge, (np.abs(x) - 1.0) * width)
    over(canvas, 0.45 * p["skin"], 0.75 * cover(base, at.edge))
    nostrils = ellipse(np.abs(u) - 0.5 * width, at.v - tip - 0.035, 0.3 * width, np.float32(0.028))
    over(canvas, 0.2 * p["skin"], 0.8 * cover(nostrils, at.edge))


def mouth(canvas: Array, p: Layer, at: Place, shade: Array) -> None:
    """Paint lips, teeth and the open mouth."""
    jaw, part = p["jaw_drop"], p["lips_part"]
    press, stretch = p["lip_presser"], p["lip_stretcher"]
    pull, depress = p["lip_corner_puller"], p["lip_corner_depressor"]
    width = p["mouth_width"] * (1.0 + 0.34 * pull + 0.34 * stretch + 0.06 * depress - 0.12 * press - 0.16 * jaw)
    x = at.u / width
    x2 = np.minimum(x * x, 1.0)
    dome, arch = 1.0 - x2, 1.0 - x2 * x2
    strength = 1.0 + p["asymmetry"] * np.clip(x, -1.0, 1.0)
    corners = (0.26 * depress + 0.03 * stretch - 0.27 * pull) * strength + p["mouth_curve"]
    line = p["mouth_height"] + corners * (x2 - 0.35) - 0.06 * p["chin_raiser"] * dome + 0.02 * jaw
    up = dome * (0.06 * part + 0.02 * jaw + 0.03 * part * stretch) + 0.13 * p["upper_lip_raiser"] * dome * (0.35 + x2)
    low = arch * (0.09 * part + 0.32 * jaw + 0.05 * part * pull + 0.04 * p["upper_lip_raiser"])
    lips = p["lip_thickness"] * np.sqrt(dome) * (1.0 - 0.75 * press - 0.25 * stretch - 0.25 * pull)
    overrun = (np.abs(x) - 1.0) * width

    tone = np.clip(p["skin"] + p["lip_tone"], 0.05, 1.0) * shade
    over(canvas, tone, cover(between(at.v, line - up - lips, line + low + 1.3 * lips, overrun), at.edge))
    hole = cover(between(at.v, line - up, line + low, overrun), at.edge) * np.clip((up + low) / at.edge, 0.0, 1.0)
    over(canvas, np.float32(0.07), hole)
    over(canvas, np.float32(0.34), hole * cover(line + low - 0.07 - at.v, at.edge) * np.clip(3.0 * jaw, 0.0, 1.0))
    teeth = 0.02 + 0.05 * part + 0.07 * pull * part + 0.05 * p["upper_lip_raiser"] + 0.05 * stretch * part
    over(canvas, np.float32(0.93), hole * cover(at.v - (line - up + teeth), at.edge) * np.clip(2.0 * part, 0.0, 1.0))
    seam = stroke(at.v, line, 0.3 * at.edge * (1.0 + 0.8 * press), overrun)
    over(canvas, 0.3 * p["skin"], 0.9 * cover(seam, at.edge) * np.clip(1.0 - (up + low) / (1.5 * at.edge), 0.0, 1.0))
    chin = stroke(at.v, p["mouth_height"] + 0.2 - 0.8 * at.u * at.u, 0.2 * at.edge, at.out - 0.15)
    over(canvas, 0.55 * p["skin"], 0.6 * np.maximum(p["chin_raiser"], 0.6 * press) * cover(chin, at.edge))


def eyes(canvas: Array, p: Layer, at: Place) -> None:
    """Paint the eyes and their lids."""
    strength = 1.0 + p["asymmetry"] * at.side
    tight = np.clip(p["lid_tightener"] * strength, 0.0, 1.0)
    cheek = np.clip(p["cheek_raiser"] * strength, 0.0, 1.0)
    half = np.float32(0.19) * p["eye_size"]
    x = (at.out - p["eye_spacing"]) / half  # -1 at the inner corner, 1 at the outer one
    dome = 1.0 - np.minimum(x * x, 1.0)
    open_up = p["lid_rest"] * (1.0 - 0.5 * tight - 0.15 * cheek - 0.25 * p["nose_wrinkler"]) + (
        0.55 * p["upper_lid_raiser"] * strength
    )
    open_low = 1.0 - 0.55 * tight - 0.7 * cheek - 0.25 * p["nose_wrinkler"] + 0.1 * p["jaw_drop"]
    shut = 1.0 - p["eyes_closed"]
    axis = EYE_HEIGHT + (p["eye_slant"] + 0.05 * p["inner_brow_raiser"] - 0.02 * p["brow_lowerer"]) * x * 0.5
    # A frown pulls the lid down over the inner half; sorrow lets the outer half hang.
    lid = 0.04 * p["brow_lowerer"] * (1.0 - x) - 0.01 * p["inner_brow_raiser"]
    top = axis - np.maximum(0.135 * p["eye_size"] * open_up * shut - lid * shut, 0.0) * dome
    top = top + 0.06 * (1.0 - shut) * dome
    bottom = np.maximum(axis + 0.085 * p["eye_size"] * open_low * dome, top)
    overrun = (np.abs(x) - 1.0) * half

    white = cover(between(at.v, top, bottom, overrun), at.edge) * np.clip(1.4 * (bottom - top) / at.edge, 0.0, 1.0)
    over(canvas, np.float32(0.95), white)
    look_u = at.u - at.side * p["eye_spacing"] - 0.06 * p["gaze_x"]
    look_v = at.v - EYE_HEIGHT + 0.015 - 0.03 * p["gaze_y"]
    ball = np.sqrt(look_u * look_u + look_v * look_v)
    over(canvas, p["iris_tone"], white * cover(ball - 0.088 * p["eye_size"], at.edge))
    over(canvas, np.float32(0.02), white * cover(ball - 0.04, at.edge))
    rim = stroke(at.v, top, 0.4 * at.edge, overrun)
    over(canvas, 0.15 * p["skin"], 0.9 * cover(rim, at.edge))
    under = stroke(at.v, bottom, 0.15 * at.edge, overrun + 0.03)
    over(canvas, 0.5 * p["skin"], (0.45 + 0.3 * tight) * cover(under, at.edge))
    crease = stroke(at.v, top - 0.075, 0.15 * at.edge, overrun + 0.02)
    over(canvas, 0.55 * p["skin"], 0.5 * np.clip(1.0 - p["upper_lid_raiser"], 0.0, 1.0) * cover(crease, at.edge))


def brows(canvas: Array, p: Layer, at: Place) -> None:
    """Paint the brows."""
    strength = 1.0 + p["asymmetry"] * at.side
    lower = p["brow_lowerer"] * strength
    inner = 0.19 * lower - 0.23 * p["inner_brow_raiser"] * strength + 0.07 * p["nose_wrinkler"]
    outer = 0.04 * lower - 0.21 * p["outer_brow_raiser"] * strength + 0.03 * p["cheek_raiser"]
    near = p["eye_spacing"] - 0.24 - 0.05 * np.clip(lower, 0.0, 1.0)
    far = p["eye_spacing"] + 0.24
    t = np.clip((at.out - near) / (far - near), 0.0, 1.0)
    bow = 4.0 * t * (1.0 - t)
    line = -p["brow_height"] + inner * (1.0 - t) + outer * t + p["brow_tilt"] * (t - 0.5) - p["brow_arch"] * bow
    thickness = p["brow_thickness"] * (1.0 - 0.45 * t)
    overrun = np.maximum(near - at.out, at.out - far)
    over(canvas, p["brow_tone"], 0.95 * cover(stroke(at.v, line, thickness, overrun), at.edge))


def glasses(canvas: Array, p: Layer, at: Place) -> None:
    """Paint the frames of glasses."""
    lens = ellipse(at.out - p["eye_spacing"] - 0.01, at.v - EYE_HEIGHT - 0.02, np.float32(0.30), np.float32(0.25))
    frame = np.abs(lens) - 0.45 * at.edge
    bridge = stroke(at.v, EYE_HEIGHT - 0.02, 0.4 * at.edge, at.out - p["eye_spacing"] + 0.28)
    temple = stroke(at.v, EYE_HEIGHT - 0.04, 0.4 * at.edge, p["eye_spacing"] + 0.30 - at.out)
    shape = np.minimum(np.minimum(frame, bridge), temple)
    over(canvas, np.float32(0.1), p["glasses"] * cover(shape, at.edge))
