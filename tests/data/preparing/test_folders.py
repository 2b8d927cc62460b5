import os
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from raw_trees import draw_tree

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.preparing.prepare import prepare
from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.splits import SplitOptions
from fer_tune.errors import UserError

SPLITS = {"train/cat": 6, "train/dog": 5, "val/cat": 2, "val/dog": 2, "test/cat": 3, "test/dog": 3}


def test_split_tree_keeps_its_own_classes_and_splits(tmp_path):
    root = draw_tree(tmp_path / "pets", SPLITS, size=(20, 30))
    name, raw = read_raw(root)
    assert (name, raw.name, raw.classes, raw.channels) == ("folders", "pets", ("cat", "dog"), 3)
    assert Counter(sample.part for sample in raw.samples) == {"train": 11, "val": 4, "test": 6}
    card = prepare(root, tmp_path / "out")
    assert card.counts == {"train": {"cat": 6, "dog": 5}, "val": {"cat": 2, "dog": 2}, "test": {"cat": 3, "dog": 3}}
    assert card.shape == (20, 30, 3)
    split = PreparedDataset.open(tmp_path / "out").train()
    for image, label, source in zip(split.images, split.labels, split.sources, strict=True):
        assert source.split("/")[1] == ("cat", "dog")[label]
        np.testing.assert_array_equal(image, np.asarray(Image.open(root / source)))


def test_class_tree_is_divided(tmp_path):
    root = draw_tree(tmp_path / "pets", {"cat": 50, "dog": 25, "emu": 10}, channels=1)
    card = prepare(root, tmp_path / "out")
    assert card.shape == (20, 20, 1)
    assert card.counts["test"] == {"cat": 10, "dog": 5, "emu": 2}
    assert card.counts["val"] == {"cat": 8, "dog": 4, "emu": 2}
    assert card.counts["train"] == {"cat": 32, "dog": 16, "emu": 6}
    assert card.splits["split"] == "random"
    other = prepare(root, tmp_path / "b", splits=SplitOptions(test_fraction=0.4, val_fraction=0.1, seed=1))
    assert other.counts["test"] == {"cat": 20, "dog": 10, "emu": 4}
    assert other.counts["val"] == {"cat": 3, "dog": 2, "emu": 1}


def test_train_folder_alone_is_divided_and_validation_alone_is_the_test(tmp_path):
    alone = draw_tree(tmp_path / "a", {"train/cat": 20, "train/dog": 20})
    assert {sample.part for sample in read_raw(alone)[1].samples} == {""}
    both = draw_tree(tmp_path / "b", {"train/cat": 20, "train/dog": 20, "Validation/cat": 5, "Validation/dog": 5})
    raw = read_raw(both)[1]
    assert Counter(sample.part for sample in raw.samples) == {"train": 40, "test": 10}
    assert "there is no test, so the test is Validation" in raw.policy


def test_groups_by_regular_expression_never_cross_splits(tmp_path):
    folders = {f"{pet}/s{person:02d}": 3 for pet in ("cat", "dog") for person in range(20)}
    root = draw_tree(tmp_path / "pets", folders)
    card = prepare(root, tmp_path / "out", splits=SplitOptions(group=r"s(\d+)/"))
    data = PreparedDataset.open(tmp_path / "out")
    found = {s.name: set(s.groups) for s in (data.train(), data.val(), data.open_test())}
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 20
    assert card.images("test") == 24
    assert card.images("val") == 18  # of 96 left, the nearest to a fifth in whole persons of 6
    assert card.splits["group"] == r"s(\d+)/"
    assert "07" in set.union(*found.values())


def test_groups_that_cross_published_splits_are_dropped_from_the_lesser_one(tmp_path):
    folders = {"train/cat/p1": 2, "train/cat/p2": 2, "train/dog/p3": 2, "train/dog/p4": 2, "train/dog/p5": 2}
    root = draw_tree(
        tmp_path / "pets", {**folders, "test/cat/p1": 1, "test/dog/p6": 1, "val/cat/p2": 1, "val/dog/p6": 1}
    )
    card = prepare(root, tmp_path / "out", splits=SplitOptions(group=r"p\d"))
    assert set(PreparedDataset.open(tmp_path / "out").train().groups) == {"p3", "p4", "p5"}
    assert card.splits["dropped_as_group_of_another_split"] == {"train": 4, "val": 1}
    assert card.images("test") == 2


def test_validation_is_taken_from_train_in_whole_groups(tmp_path):
    folders = {f"train/{pet}/p{person}": 2 for pet in ("cat", "dog") for person in range(10)}
    root = draw_tree(tmp_path / "pets", {**folders, "test/cat/x": 2, "test/dog/x": 2})
    prepare(root, tmp_path / "out", splits=SplitOptions(group=r"/(\w+)/\d+\.png", val_fraction=0.3))
    data = PreparedDataset.open(tmp_path / "out")
    assert len(set(data.val().groups)) == 3
    assert not set(data.val().groups) & set(data.train().groups)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", "not a regular expression"),
        (r"person(\d)", r"finds no group in cat/1\.png, cat/2\.png, cat/3\.png and 9 more"),
        ("cat()", "finds no group in cat/1"),
    ],
)
def test_bad_group_expressions(tmp_path, expression, message):
    root = draw_tree(tmp_path / "pets", {"cat": 6, "dog": 6})
    with pytest.raises(UserError, match=message):
        prepare(root, tmp_path / "out", splits=SplitOptions(group=expression))


def test_group_and_random_contradict(tmp_path):
    with pytest.raises(UserError, match="--split random and --group contradict"):
        prepare(tmp_path, tmp_path / "out", splits=SplitOptions("random", group="x"))


def test_split_options_of_a_divided_dataset_are_refused(tmp_path):
    root = draw_tree(tmp_path / "pets", SPLITS)
    for options in (SplitOptions("random"), SplitOptions(test_fraction=0.2), SplitOptions(test_characters=("a",))):
        with pytest.raises(UserError, match="has a test part of its own"):
            prepare(root, tmp_path / "out", splits=options)


def test_characters_of_a_dataset_without_any(tmp_path):
    root = draw_tree(tmp_path / "pets", {"cat": 6, "dog": 6})
    with pytest.raises(UserError, match="names no characters; name its groups by a regular expression with --group"):
        prepare(root, tmp_path / "out", splits=SplitOptions("character"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "test" / "dog").rename(root / "test" / "dgo"), r"test/dgo: train .* did you mean 'dog'"),
        (lambda root: (root / "train" / "emu").mkdir(), r"train/emu: no images in it"),
        (lambda root: (root / "train").rename(root.parent / "x"), r"pets: there is test and val, but no train folder"),
    ],
)
def test_faulty_trees(tmp_path, change, message):
    root = draw_tree(tmp_path / "pets", SPLITS)
    change(root)
    with pytest.raises(UserError, match=message):
        read_raw(root)


def test_class_that_a_split_lacks_is_told(tmp_path):
    root = draw_tree(tmp_path / "pets", {**SPLITS, "train/emu": 3})
    assert prepare(root, tmp_path / "out").hygiene["warnings"] == [
        "val has no image of emu: they do not count in figures of val",
        "test has no image of emu: they do not count in figures of test",
    ]


def test_grey_and_coloured_images(tmp_path):
    root = draw_tree(tmp_path / "pets", {"cat": 12, "dog": 12}, channels=1)
    file = root / "dog" / "24.png"
    Image.new("RGB", (20, 20), (250, 0, 0)).save(file)
    with pytest.raises(UserError, match=r"dog/24\.png: a colour image among grey ones; .*--channels 1 or 3"):
        prepare(root, tmp_path / "out")
    assert prepare(root, tmp_path / "grey", channels=1).shape == (20, 20, 1)
    assert prepare(root, tmp_path / "rgb", channels=3).shape == (20, 20, 3)
    data = PreparedDataset.open(tmp_path / "rgb").train()
    reds = {source: image[0, 0].tolist() for source, image in zip(data.sources, data.images, strict=True)}
    assert all(pixel[0] == pixel[1] == pixel[2] for source, pixel in reds.items() if source != "dog/24.png")
    with pytest.raises(UserError, match="--channels 2"):
        prepare(root, tmp_path / "no", channels=2)


def test_link_that_loops_back_is_a_listed_fault(tmp_path):
    root = draw_tree(tmp_path / "pets", {"cat/a": 6, "dog/a": 6})
    (root / "cat" / "a" / "again").symlink_to(root / "cat")
    (root / "dog" / "b").symlink_to(root / "dog" / "b")
    raw = read_raw(root)[1]
    assert [tuple(fault) for fault in raw.faults] == [("cat/a/again", "a link back to a folder above it")]
    with pytest.raises(UserError, match=r"cat/a/again: a link back"):
        prepare(root, tmp_path / "out")
    assert prepare(root, tmp_path / "out", skip_unreadable=True).hygiene["unreadable_rows"] == 1


def test_names_that_are_not_utf8_are_escaped(tmp_path):
    root = draw_tree(tmp_path / "pets", {"cat": 12, "dog": 12})
    try:
        os.rename(os.fsencode(root / "cat"), os.fsencode(root) + b"/caf\xe9")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    card = prepare(root, tmp_path / "out")
    assert card.classes == ["caf\\xe9", "dog"]
    assert PreparedDataset.open(tmp_path / "out").train().sources[0].startswith("caf\\xe9/")


def test_trees_of_emotions_with_other_sizes_are_not_taken_for_fer2013(tmp_path):
    emotions = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    folders = {f"{split}/{name}": 2 for split in ("train", "test") for name in emotions}
    name, raw = read_raw(draw_tree(tmp_path / "big", folders, size=(100, 100)))
    assert (name, raw.channels, raw.classes) == ("folders", 3, emotions)
    name, raw = read_raw(draw_tree(tmp_path / "small", folders, size=(48, 48), channels=1))
    assert (name, raw.name) == ("folders", "small")  # the size alone does not make it FER2013


def test_folder_that_may_not_be_read(tmp_path):
    root = draw_tree(tmp_path / "pets", {"cat": 2, "dog": 2})
    (root / "dog").chmod(0)
    try:
        if os.access(root / "dog", os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(UserError, match="dog: cannot be read: Permission denied"):
            read_raw(root, "folders")
    finally:
        (root / "dog").chmod(0o755)
