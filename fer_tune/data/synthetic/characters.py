"""Who is in the embedded dataset, and how they are photographed: draws the parameters that are not the expression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fer_tune.data.synthetic.faces import Sensor

Columns = dict[str, npt.NDArray[np.float32]]


def sample_characters(count: int, rng: np.random.Generator) -> Columns:
    """Invent ``count`` people.

    Args:
        count: how many.
        rng: source of all chance.

    Returns:
        Each name of :data:`fer_tune.data.synthetic.faces.IDENTITY` -> float32 (count,).
    """

    def normal(mean: float, deviation: float) -> npt.NDArray[np.float64]:
        return mean + deviation * np.clip(rng.standard_normal(count), -2.2, 2.2)

    def uniform(low: float, high: float) -> npt.NDArray[np.float64]:
        return rng.uniform(low, high, count)

    def some(share: float) -> npt.NDArray[np.bool_]:
        return rng.random(count) < share

    long_hair, bald = some(0.3), some(0.08)
    skin = uniform(0.5, 0.85)
    hair = np.where(some(0.3), uniform(0.45, 0.85), uniform(0.06, 0.35))  # fair or grey, else dark
    hair = np.where(np.abs(hair - skin) < 0.15, hair * 0.6, hair)  # a head must be seen against its hair
    fair_brows = some(0.15)
    people = {
        "head_width": normal(0.82, 0.025),
        "jaw": uniform(0.08, 0.22),
        "skin": skin,
        "hair_tone": hair,
        "hair_volume": np.where(bald, 0.0, uniform(0.06, 0.16)),
        "hair_length": np.where(long_hair, uniform(0.5, 1.4), uniform(-0.3, 0.15)),
        "hairline": normal(-0.76, 0.03),
        "parting": normal(0.0, 0.12),
        "fringe_curve": uniform(0.3, 0.6),
        "eye_size": normal(1.42, 0.05),
        "eye_spacing": normal(0.385, 0.01),
        "eye_slant": normal(0.0, 0.01),
        "iris_tone": uniform(0.06, 0.3),
        "lid_rest": normal(0.97, 0.05),
        "brow_height": normal(0.44, 0.012),
        "brow_tilt": normal(0.0, 0.015),
        "brow_arch": uniform(0.015, 0.055),
        "brow_thickness": uniform(0.06, 0.075),
        "brow_tone": np.where(fair_brows, 0.5 * skin, uniform(0.05, 0.18)),
        "nose_length": normal(0.24, 0.018),
        "nose_width": normal(0.125, 0.01),
        "mouth_height": normal(0.545, 0.01),
        "mouth_width": normal(0.37, 0.014),
        "mouth_curve": normal(0.0, 0.01),
        "lip_thickness": uniform(0.055, 0.08),
        "lip_tone": uniform(-0.26, -0.14),
        "glasses": np.where(some(0.15), uniform(0.5, 1.0), 0.0),
        "beard": np.where(some(0.15) & ~long_hair, uniform(0.2, 0.6), 0.0),
    }
    return {name: values.astype(np.float32) for name, values in people.items()}


def sample_views(count: int, rng: np.random.Generator) -> Columns:
    """Pose, light and set the scene of ``count`` pictures.

    Args:
        count: how many.
        rng: source of all chance.

    Returns:
        Each name of :data:`fer_tune.data.synthetic.faces.VIEW` -> float32 (count,).
    """

    def normal(deviation: float) -> npt.NDArray[np.float64]:
        return deviation * np.clip(rng.standard_normal(count), -2.2, 2.2)

    def uniform(low: float, high: float) -> npt.NDArray[np.float64]:
        return rng.uniform(low, high, count)

    occluded = rng.random(count) < 0.04
    views = {
        "roll": normal(0.08),
        "yaw": normal(0.08),
        "pitch": normal(0.04),
        "scale": uniform(24.0, 26.0),
        "shift_x": normal(1.2),
        "shift_y": normal(1.2),
        "gaze_x": normal(0.25),
        "gaze_y": normal(0.2),
        "asymmetry": normal(0.06),
        "light_x": normal(0.2),
        "light_y": uniform(-0.7, 0.2),
        "ambient": uniform(0.5, 0.85),
        "background": uniform(0.15, 0.9),
        "background_slope": normal(0.25),
        "occluder_x": uniform(-16, 16),
        "occluder_y": uniform(-14, 20),
        "occluder_radius": np.where(occluded, uniform(5.0, 9.0), 0.0),
        "occluder_tone": uniform(0.1, 0.9),
    }
    return {name: values.astype(np.float32) for name, values in views.items()}


def sample_sensors(count: int, rng: np.random.Generator) -> Sensor:
    """Draw exposure, sharpness and noise for ``count`` pictures."""
    return Sensor(
        gain=rng.uniform(0.85, 1.15, count).astype(np.float32),
        offset=rng.uniform(-0.08, 0.08, count).astype(np.float32),
        blur=rng.uniform(0.0, 0.5, count).astype(np.float32),
        noise=rng.uniform(0.005, 0.025, count).astype(np.float32),
    )
