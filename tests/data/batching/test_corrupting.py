"""Corruptions: stronger is further from the image, the same wherever it is drawn, and what their names say."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fer_tune.data.batching.corrupting import CORRUPTIONS, STRENGTHS, corrupted, parameter


def faces(count: int = 6, side: int = 48, channels: int = 1) -> np.ndarray:
    """Return smooth pictures with edges, (N, H, W, C) uint8."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:side, 0:side] / side
    found = [
        128 + 90 * np.sign(np.sin(8 * (columns * a + rows * b)))[..., None] for a, b in rng.uniform(-1, 1, (count, 2))
    ]
    colour = rng.uniform(0.6, 1, (count, 1, 1, channels))
    return np.clip(np.stack(found) * colour, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_strength_is_further_from_the_image(kind: str, channels: int) -> None:
    images = faces(channels=channels)
    before = images.copy()
    found = [corrupted(images, kind, strength) for strength in STRENGTHS]
    assert all(each.shape == images.shape and each.dtype == np.uint8 for each in found)
    apart = [float(((each.astype(float) - images) ** 2).mean()) for each in found]
    assert apart[0] > 0
    assert apart == sorted(apart)
    assert (images == before).all()


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_part_of_a_split_is_corrupted_as_the_whole_is(kind: str) -> None:
    images = faces()
    whole = corrupted(images, kind, 3, seed=5)
    assert (corrupted(images[2:4], kind, 3, seed=5, first=2) == whole[2:4]).all()
    assert (corrupted(images, kind, 3, seed=6) == whole).all() == (kind not in ("noise", "occlusion"))


def test_parameters_are_the_published_ones_at_the_published_sides() -> None:
    assert [parameter("noise", s, 32) for s in STRENGTHS] == [0.04, 0.06, 0.08, 0.09, 0.1]
    assert [parameter("blur", s, 64) for s in STRENGTHS] == [0.5, 0.75, 1.0, 1.25, 1.5]
    assert [parameter("jpeg", s, 224) for s in STRENGTHS] == [25, 18, 15, 10, 7]
    assert 0.5 < parameter("blur", 1, 100) < 1.0
    assert parameter("blur", 2, 448) == pytest.approx(4.0)
    assert parameter("blur", 2, 16) == pytest.approx(0.3)
    assert parameter("noise", 1, 448) == 0.08


def test_they_do_what_their_names_say() -> None:
    images = faces(1, channels=3)
    grey = np.full((1, 48, 48, 1), 100, np.uint8)
    assert corrupted(grey, "brightness", 1)[0, 0, 0, 0] == round(100 + 255 * parameter("brightness", 1, 48))
    assert corrupted(grey, "darkness", 1)[0, 0, 0, 0] == round(100 - 255 * parameter("darkness", 1, 48))
    assert corrupted(grey, "noise", 3).std() == pytest.approx(255 * parameter("noise", 3, 48), rel=0.1)
    assert (corrupted(grey, "blur", 5) == 100).all()
    hidden = corrupted(grey, "occlusion", 5)[0, ..., 0] != 100
    assert hidden.mean() == pytest.approx(0.36, abs=0.02)
    rows = np.flatnonzero(hidden.any(1))
    assert hidden[rows.min() : rows.max() + 1].any(0).sum() == hidden.any(1).sum()  # a square
    file = io.BytesIO()
    Image.fromarray(images[0]).save(file, "JPEG", quality=parameter("jpeg", 4, 48))
    assert (corrupted(images, "jpeg", 4)[0] == np.asarray(Image.open(file))).all()


def test_hue_and_saturation_stay_when_it_gets_lighter() -> None:
    image = np.array([[[[100, 50, 25]]]], np.uint8)
    found = corrupted(np.repeat(np.repeat(image, 32, 1), 32, 2), "brightness", 2)[0, 0, 0].astype(float)
    assert found[0] == pytest.approx(100 + 25.5, abs=1)
    assert found / found[0] == pytest.approx([1, 0.5, 0.25], abs=0.01)
