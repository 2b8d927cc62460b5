"""Faces aligned by five points: wherever they are in the picture, their eyes come to lie in the same places."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image
from raw_trees import draw_raf_official
from wild import affectnet, table

from fer_tune.data.preparing.readers.base import Fault, UnreadableError
from fer_tune.data.preparing.readers.tables.images_of import table_images
from fer_tune.data.preparing.readers.tables.landmarks import aligned, points_of
from fer_tune.errors import UserError

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
    text = ";".join(f"{value:.3f}" for value in marked(points).ravel())
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


def marked(points: np.ndarray) -> np.ndarray:
    """68 points, (68, 2), of which the five are ``points``."""
    many = np.zeros((68, 2))
    for places, point in zip((range(36, 42), range(42, 48), (30,), (48,), (54,)), points, strict=True):
        many[list(places)] = point
    return many


def is_upright(image: np.ndarray) -> bool:
    return bool(np.abs(np.subtract(shades(image), SHADES)).max() <= 12)  # jpeg changes an edge by so much


def affectnet_lists(root):
    rows = []
    (root / "pictures").mkdir(parents=True)
    for number in range(32):
        image, points = face(11 * number, 1.0)
        Image.fromarray(image).convert("RGB").save(root / "pictures" / f"{number}.jpg", quality=95)
        text = ";".join(f"{value:.2f}" for value in marked(points).ravel())
        rows.append((f"pictures/{number}.jpg", 90, 90, 120, 120, "" if number == 5 else text, number % 8, 0.1, 0.2))
    columns = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    table(root / "training.csv", columns, rows[:24])
    table(root / "validation.csv", columns, rows[24:])
    return root


def test_affectnets_lists_are_aligned_unless_told_otherwise(tmp_path, prepared):
    root = affectnet_lists(tmp_path / "lists")
    card, splits = prepared(root, size=112, keep_duplicates=True)
    upright = [is_upright(image[..., 0]) for split in splits.values() for image in split.images]
    assert (card.name, upright.count(True), upright.count(False)) == ("affectnet", 31, 1)  # by its box
    assert "faces are aligned by the dataset's landmarks (--no-align leaves them as they are)" in card.hygiene["notes"]
    told = "1 row without landmarks that can be used: faces are cut out by their boxes there"
    assert told in card.hygiene["notes"]
    card, splits = prepared(root, align=False, keep_duplicates=True)
    assert card.shape == (144, 144, 3)  # the boxes, with a tenth around
    assert "the dataset's landmarks are not used (--align aligns faces by them)" in card.hygiene["notes"]
    assert not all(is_upright(image[..., 0]) for split in splits.values() for image in split.images)


def test_affectnets_cut_out_faces_are_aligned_where_that_is_asked_for(tmp_path, prepared):
    root = affectnet(tmp_path / "data", per_code=3)
    for number, file in enumerate(sorted(root.glob("*/images/*.jpg"))):
        image, points = face(11 * number, 1.2, size=150)
        Image.fromarray(image).convert("RGB").save(file, quality=95)
        np.save(file.parent.parent / "annotations" / f"{file.stem}_lnd.npy", marked(points).ravel())
    as_they_are, splits = prepared(root, keep_duplicates=True)
    unread = ["train_set/annotations/*.npy (48 files)", "val_set/annotations/*.npy (32 files)"]  # valence and arousal
    assert as_they_are.hygiene["ignored"] == unread
    assert not all(is_upright(image[..., 0]) for split in splits.values() for image in split.images)
    card, splits = prepared(root, align=True, keep_duplicates=True)
    assert card.shape == as_they_are.shape == (150, 150, 3)
    assert all(is_upright(image[..., 0]) for split in splits.values() for image in split.images)


def test_raf_dbs_photographs_are_aligned_by_its_own_points(tmp_path, prepared):
    root = draw_raf_official(tmp_path / "RAF-DB", 4) / "basic"
    for number, file in enumerate(sorted((root / "Image" / "aligned").iterdir())):
        stem = file.stem.removesuffix("_aligned")
        image, points = face(15 * number, 1.0)
        picture = root / "Image" / "original" / f"{stem}.jpg"
        for folder in (picture.parent, root / "Annotation" / "manual", root / "Annotation" / "boundingbox"):
            folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).convert("RGB").save(picture, quality=95)
        lines = [*(f"{x:.2f}\t{y:.2f}" for x, y in points), "0", "1", "2"]
        (root / "Annotation" / "manual" / f"{stem}_manu_attri.txt").write_text("\n".join(lines))
        (root / "Annotation" / "boundingbox" / f"{stem}_boundingbox.txt").write_text("90.0 90.0 210.0 210.0 ")
    cut = prepared(root.parent)[0]
    assert cut.shape == (100, 100, 3)  # those that its authors aligned go first
    with pytest.raises(UserError, match="--align: the dataset has no landmarks"):
        prepared(root.parent, align=True)
    shutil.rmtree(root / "Image" / "aligned")
    card, splits = prepared(root.parent, size=112, keep_duplicates=True)
    assert (card.name, card.counts) == ("raf-db", cut.counts)
    assert all(is_upright(image[..., 0]) for split in splits.values() for image in split.images)
    assert card.hygiene["ignored"] == []
    assert prepared(root.parent, align=False, keep_duplicates=True)[0].shape == (144, 144, 3)
    (root / "Annotation" / "manual" / "train_00003_manu_attri.txt").write_text("12 13")
    with pytest.raises(UserError, match=r"no 10 numbers in Annotation/manual/train_00003_manu_attri.txt"):
        prepared(root.parent, size=112)
