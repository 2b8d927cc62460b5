"""Faces aligned by five points: wherever they are in the picture, their eyes come to lie in the same places."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from wild import table

from fer_tune.data.preparing.readers.base import Fault, UnreadableError
from fer_tune.data.preparing.readers.tables.images_of import table_images
from fer_tune.data.preparing.readers.tables.landmarks import aligned, points_of

PLACES = np.array([(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)])
SHADES = (60, 110, 160, 210, 250)
CELEBA = ["lefteye_x", "lefteye_y", "righteye_x", "righteye_y", "nose_x", "nose_y"]
CELEBA += ["leftmouth_x", "leftmouth_y", "rightmouth_x", "rightmouth_y"]


def face(turn: float, scale: float, size: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A black picture with a disc of its own shade at each point, turned by degrees; the picture and the points."""
    angle = np.deg2rad(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (PLACES - 56) @ rotation.T * scale + size / 2
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    image = np.zeros((size, size), np.uint8)
    for (x, y), shade in zip(points, SHADES, strict=True):
        image[(columns - x) ** 2 + (rows - y) ** 2 < (6 * scale) ** 2] = shade
    return image, points


def shades(image: np.ndarray) -> list[int]:
    """What is in an aligned image where the points should be."""
    factor = len(image) / 112
    return [int(image[int(y * factor), int(x * factor)]) for x, y in PLACES]


@pytest.mark.parametrize("turn", [0, 25, -70, 180])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.6])
def test_eyes_come_to_their_places_at_the_scale_that_they_have(turn, scale):
    image, points = face(turn, scale)
    found = aligned(image, tuple(map(tuple, points)))
    assert found.shape == (round(112 * scale),) * 2
    assert shades(found) == pytest.approx(SHADES, abs=3)


def test_left_may_be_the_persons_or_the_pictures():
    image, points = face(15, 1.0)
    persons = points[[1, 0, 2, 4, 3]]
    np.testing.assert_array_equal(aligned(image, tuple(map(tuple, persons))), aligned(image, tuple(map(tuple, points))))


def test_colours_stay_and_beyond_the_picture_is_black():
    image, points = face(0, 1.0, size=90)  # the picture is smaller than its face's frame
    found = aligned(np.repeat(image[..., None], 3, 2) | 1, tuple(map(tuple, points)))
    assert found.shape == (112, 112, 3)
    assert (found[0] == 0).all()
    assert shades(found[..., 0]) == pytest.approx(SHADES, abs=3)


def test_a_table_with_ten_columns_is_aligned_and_predicted_so(tmp_path, prepared):
    root, rows = tmp_path / "faces", []
    (root / "images").mkdir(parents=True)
    for number in range(24):
        image, points = face(15 * number, 1.0)
        Image.fromarray(image).save(root / "images" / f"{number}.png")
        rows.append((f"{number}.png", ("happy", "sad")[number % 2], *points.round(3).ravel()))
    file = table(root / "list.csv", f"image,emotion,{','.join(CELEBA)}", rows)
    _, splits = prepared(file, size=112, keep_duplicates=True)  # aligned, they are all one face
    for split in splits.values():
        for image in split.images:
            assert np.abs(np.subtract(shades(image[..., 0]), SHADES)).max() <= 3
    found = dict(table_images(file, []))
    assert len(found) == 24
    assert all(shades(np.asarray(image)) == pytest.approx(SHADES, abs=3) for image in found.values())
    rows[3] = (*rows[3][:2], *[5] * 10)
    faults: list[Fault] = []
    assert len(list(table_images(table(root / "list.csv", f"image,emotion,{','.join(CELEBA)}", rows), faults))) == 23
    assert faults[0].source == "list.csv:5"
    assert "are of no face" in faults[0].reason


def test_five_points_of_sixty_eight_in_one_column(tmp_path, prepared):
    image, points = face(30, 1.0)
    many = np.zeros((68, 2))
    for places, point in zip((range(36, 42), range(42, 48), (30,), (48,), (54,)), points, strict=True):
        many[list(places)] = point
    text = ";".join(f"{value:.3f}" for value in many.ravel())
    np.testing.assert_allclose(points_of({"all": text}, ["all"]), points, atol=1e-3)
    root = tmp_path / "faces"
    (root / "images").mkdir(parents=True)
    for number in range(8):
        Image.fromarray(image + np.uint8(number % 2)).save(root / "images" / f"{number}.png")
    rows = [(f"images/{n}.png", ("happy", "sad")[n // 4], text) for n in range(8)]
    file = table(root / "list.csv", "path,label,facial_landmarks", rows)
    assert prepared(file, keep_duplicates=True)[0].shape == (300, 300, 1)  # what 136 numbers are must be said
    card, splits = prepared(file, columns={"landmarks": "facial_landmarks"}, keep_duplicates=True)
    assert card.shape == (112, 112, 1)
    assert np.abs(np.subtract(shades(splits["train"].images[0, ..., 0]), SHADES)).max() <= 3


@pytest.mark.parametrize("cell", ["", "1;2;3", "a b", None])
def test_what_are_no_points(cell):
    with pytest.raises(UnreadableError, match=r"landmarks: . numbers, expected x and y of 5 points, or of 68"):
        points_of({"points": cell}, ["points"])
    with pytest.raises(UnreadableError, match=r"landmarks .* are no numbers|expected x and y"):
        points_of(dict.fromkeys(CELEBA, cell), CELEBA)
