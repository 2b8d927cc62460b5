import os
from collections import Counter

import numpy as np
import pytest
from drawing import EMOTIONS, draw_fer2013_folders
from PIL import Image

from fer_tune.data.preparing.cleaning.ignored import passed_over
from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.readers.base import UnreadableError
from fer_tune.errors import UserError


def parts(raw):
    return Counter((sample.source.split("/")[-1].split("_")[0], sample.part) for sample in raw.samples)


def test_official_names_give_the_official_splits(tmp_path):
    name, raw = read_raw(draw_fer2013_folders(tmp_path / "fer", 4, private=True))
    assert name == "fer2013-folders"
    assert parts(raw) == {("Training", "train"): 28, ("PublicTest", "val"): 14, ("PrivateTest", "test"): 14}


def test_name_decides_even_in_the_wrong_folder(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 4, private=True)
    moved = next((root / "test" / "sad").glob("PrivateTest_*"))
    moved.rename(root / "train" / "sad" / moved.name)
    assert parts(read_raw(root)[1]) == {
        ("Training", "train"): 28,
        ("PublicTest", "val"): 14,
        ("PrivateTest", "test"): 14,
    }


def test_without_private_test_the_public_one_is_the_test(tmp_path):
    raw = read_raw(draw_fer2013_folders(tmp_path / "fer", 4))[1]
    assert parts(raw) == {("Training", "train"): 28, ("PublicTest", "test"): 14}
    assert "no PrivateTest" in raw.policy


def test_renamed_files_go_by_their_folder(tmp_path):
    raw = read_raw(draw_fer2013_folders(tmp_path / "fer", 4, official_names=False))[1]
    assert Counter(sample.part for sample in raw.samples) == {"train": 28, "test": 14}
    assert all(sample.source.startswith(sample.part + "/") for sample in raw.samples)


def test_a_validation_folder_is_the_validation_split(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 4, official_names=False)
    draw_fer2013_folders(tmp_path / "more", 2, seed=1, official_names=False)
    (tmp_path / "more" / "train").rename(root / "Validation")
    raw = read_raw(root)[1]
    assert Counter(sample.part for sample in raw.samples) == {"train": 28, "val": 14, "test": 14}


def test_labels_follow_the_folder_names_and_pixels_the_files(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2)
    (root / "train" / "happy").rename(root / "train" / "Happiness")
    raw = read_raw(root)[1]
    assert raw.classes == EMOTIONS
    for sample in raw.samples:
        folder = sample.source.split("/")[1]
        assert EMOTIONS[sample.label] == {"Happiness": "happy"}.get(folder, folder)
        np.testing.assert_array_equal(raw.load(sample), np.asarray(Image.open(root / sample.source)))


def test_one_folder_around_the_dataset_is_looked_into(tmp_path):
    draw_fer2013_folders(tmp_path / "archive" / "fer2013", 2)
    assert len(read_raw(tmp_path / "archive")[1].samples) == 21


def test_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    root = draw_fer2013_folders(tmp_path / "fer", 4)
    sources = [sample.source for sample in read_raw(root)[1].samples]
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda *args: sorted(listdir(*args), reverse=True))
    assert [sample.source for sample in read_raw(root)[1].samples] == sources


def test_what_is_no_dataset_is_told_with_what_was_looked_for(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError) as caught:
        read_raw(tmp_path / "photos")
    for word in ("fer2013-csv", "fer2013-folders", "train/<class>/", "emotion (codes 0 to 6), pixels"):
        assert word in str(caught.value)


def test_misspelt_class_folder(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2)
    (root / "test" / "disgust").rename(root / "test" / "digsust")
    with pytest.raises(UserError, match=r"test/digsust: .*did you mean 'disgust'"):
        read_raw(root)


def test_missing_class_folder(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2)
    (root / "train" / "fear").rename(tmp_path / "fear")
    with pytest.raises(UserError, match=r"test/fear: train has no class of this name"):
        read_raw(root)


def test_empty_class_folder(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2)
    for file in (root / "train" / "fear").iterdir():
        file.unlink()
    (root / "train" / "fear" / "Thumbs.db").write_text("")
    with pytest.raises(UserError, match=r"train/fear: no images in it"):
        read_raw(root)


def test_two_names_of_one_class(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2)
    (root / "train" / "joy").mkdir()
    next((root / "train" / "happy").iterdir()).rename(root / "train" / "joy" / "Training_1.png")
    name, raw = read_raw(root)
    assert (name, raw.classes) == ("fer2013-folders", EMOTIONS)
    assert "read as one class, 'happy': 'happy', 'joy'" in raw.notes


def test_links_that_lead_nowhere_are_faults_and_other_files_are_named(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2)
    folder = root / "train" / "sad"
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "gone.png").symlink_to(tmp_path / "gone.png")
    (folder / "readme.txt").write_text("hello")
    (folder / ".DS_Store").write_text("")
    raw = read_raw(root)[1]
    assert {fault.source for fault in raw.faults} == {"train/sad/loop.png", "train/sad/gone.png"}
    assert passed_over(root, raw) == ["train/sad/readme.txt", ".DS_Store (1)"]


def test_file_name_that_is_not_utf8_is_escaped(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2, official_names=False)
    folder = os.fsencode(root / "train" / "sad")
    try:
        os.rename(os.path.join(folder, os.listdir(folder)[0]), os.path.join(folder, b"caf\xe9.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    raw = read_raw(root)[1]
    sample = next(sample for sample in raw.samples if "caf" in sample.source)
    assert sample.source == "train/sad/caf\\xe9.png"
    assert raw.load(sample).shape == (48, 48)


def replaced(root, content):
    file = sorted((root / "train" / "sad").iterdir())[0]
    file.write_bytes(content(file.read_bytes()))
    raw = read_raw(root)[1]
    return raw, next(sample for sample in raw.samples if sample.source.endswith(file.name))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda good: b"", r"empty file \(0 bytes\)"),
        (lambda good: b"hello", "not an image"),
        (lambda good: good[: len(good) // 2], "truncated"),
    ],
)
def test_damaged_images_are_unreadable(tmp_path, content, reason):
    raw, sample = replaced(draw_fer2013_folders(tmp_path / "fer", 2), content)
    with pytest.raises(UnreadableError, match=reason):
        raw.load(sample)


def test_colour_copies_of_grey_images_are_read_as_grey(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2)
    file = sorted((root / "train" / "sad").iterdir())[0]
    grey = np.asarray(Image.open(file))
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(file)
    raw = read_raw(root)[1]
    sample = next(sample for sample in raw.samples if sample.source.endswith(file.name))
    np.testing.assert_array_equal(raw.load(sample), grey)


def test_image_of_16_bits_is_unreadable_rather_than_clipped(tmp_path):
    root = draw_fer2013_folders(tmp_path / "fer", 2)
    file = sorted((root / "train" / "sad").iterdir())[0]
    Image.fromarray(np.full((48, 48), 30_000, np.uint16)).save(file)
    raw = read_raw(root)[1]
    sample = next(sample for sample in raw.samples if sample.source.endswith(file.name))
    with pytest.raises(UnreadableError, match="8 bits"):
        raw.load(sample)
