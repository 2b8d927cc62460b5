"""Who is shown, in folders, file names and frames of films: people stay on one side of a split."""

import numpy as np
import pytest
from data.preparing.conftest import sides
from PIL import Image
from wild import EIGHT, SEVEN, Pen, grown, tree

from fer_tune.data.preparing.splits import SplitOptions
from fer_tune.errors import UserError


def images(card):
    return {split: card.images(split) for split in card.counts}


PEOPLE = ["P001", "P002", "P003", "P004", "P005"]


@pytest.mark.parametrize(
    "levels",
    [
        (PEOPLE, SEVEN),
        (["NI", "VL"], ["Strong", "Weak", "Dark"], PEOPLE, ["Anger", "Fear", "Happiness"]),
        (SEVEN, PEOPLE),
        (["subject 1", "subject 2", "subject 3"], ["session1", "session2"], ["Joy", "Sad"]),
        (["anna", "bert", "carla", "dora"], ["happy", "sad", "angry"]),
        (["01", "02", "03", "04"], ["happy", "sad", "angry"]),
    ],
    ids=lambda levels: "/".join(level[0] for level in levels),
)
def test_people_in_folders_stay_on_one_side(tmp_path, prepared, levels):
    card, splits = prepared(tree(tmp_path / "Oulu", grown(*levels), 2))
    people = next(level for level in levels if level is PEOPLE or level[0] in ("subject 1", "anna", "01"))
    assert set(sides(splits)) == set(people)
    assert all(len(places) == 1 for places in sides(splits).values())
    assert sum(images(card).values()) == 2 * len(grown(*levels))
    assert not set(card.classes) - set(EIGHT)
    assert people[0] in card.splits["people"]


def test_people_in_published_splits_are_kept_in_one(tmp_path, prepared):
    folders = [*grown(["train"], PEOPLE, ["happy", "sad"]), *grown(["test"], PEOPLE[4:], ["happy", "sad"])]
    card, splits = prepared(tree(tmp_path / "faces", folders))
    assert all(len(places) == 1 for places in sides(splits).values())
    assert sides(splits)["P005"] == {"test"}
    assert card.splits["dropped_as_group_of_another_split"] == {"train": 8, "val": 0}
    everybody = tree(tmp_path / "all", grown(["train", "test"], PEOPLE, ["happy", "sad"]))
    with pytest.raises(
        UserError, match=r"every group \(person\) of train stands in val or test too.*--split character"
    ):
        prepared(everybody)
    assert sum(images(prepared(everybody, splits=SplitOptions("character"))[0]).values()) == 80


def test_people_in_file_names_stay_on_one_side(tmp_path, prepared):
    pen, root = Pen(), tmp_path / "faces"
    for emotion in ("happy", "sad"):
        for person in range(10, 16):
            pen.images(root / emotion, 3, f"subject{person}_{{}}.png")
    _, splits = prepared(root)
    assert set(sides(splits)) == {f"subject{person}" for person in range(10, 16)}
    assert all(len(places) == 1 for places in sides(splits).values())


def frames(root, names):
    """Draw frames of clips, three nearly equal ones each, for two classes."""
    rng = np.random.default_rng(0)
    for emotion in ("happy", "sad"):
        for clip in range(12):
            base = rng.integers(0, 256, (32, 32)).astype(np.int16)
            for frame in range(3):
                path = root / emotion / names.format(clip="abcdefghijkl"[clip], frame=frame, emotion=emotion)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.clip(base + rng.integers(-3, 4, base.shape), 0, 255).astype(np.uint8)).save(path)
    return root


@pytest.mark.parametrize(
    ("names", "group"),
    [("{clip}_{emotion}_{frame}.png", "a"), ("clip-{clip}/{frame}.png", "clip-a"), ("{clip}x{frame}.png", "ax")],
)
def test_neighbouring_frames_on_both_sides_are_warned_of_with_the_cure(tmp_path, prepared, names, group):
    root = frames(tmp_path / "films", names)
    card, _ = prepared(root)
    warning = next(one for one in card.hygiene["warnings"] if "of test, which was drawn by chance" in one)
    assert "are nearly the same as one of train" in warning
    expression = warning.split("--group ")[1].split("' finds")[0].strip("'").encode().decode("unicode_escape")
    cured, splits = prepared(root, splits=SplitOptions(group=expression))
    assert cured.hygiene["warnings"] == []
    assert group in sides(splits)
    assert all(len(places) == 1 for places in sides(splits).values())


def test_images_that_come_one_by_one_are_not_warned_of(tmp_path, prepared):
    assert prepared(tree(tmp_path / "faces", ["happy", "sad"], 20))[0].hygiene["warnings"] == []


def test_frames_on_both_sides_as_published_are_warned_of_too(tmp_path, prepared):
    root = frames(tmp_path / "films", "{clip}_{emotion}_{frame}.png")
    for file in sorted(root.rglob("*.png")):
        part = "test" if file.stem.endswith("2") else "train"
        (root / part / file.parent.name).mkdir(parents=True, exist_ok=True)
        file.rename(root / part / file.parent.name / file.name)
    (root / "happy").rmdir()
    (root / "sad").rmdir()
    warnings = prepared(root)[0].hygiene["warnings"]
    assert warnings[0].startswith("24 of 24 images of test, as published, are nearly the same as one of train")


NAMES = {
    "Rafd090_{person:02}_Caucasian_female_{emotion}_frontal.png": "01",
    "S{person:03}_{emotion}.png": "S001",
    "{emotion}-subject{person:02}.png": "subject01",
    "P{person:03}/img_{emotion}.png": "P001",
    "{initials}_{emotion}_1.png": "ab",
}


@pytest.mark.parametrize("names", NAMES)
def test_emotions_and_people_in_file_names(tmp_path, prepared, names):
    pen, root = Pen(), tmp_path / "lab"
    emotions = {"angry": "angry", "contemptuous": "contempt", "fearful": "fear", "Happy": "happy", "sad": "sad"}
    for person in range(1, 8):
        for emotion in emotions:
            initials = "abcdefgh"[person - 1 : person + 1]
            pen.image(root / names.format(person=person, emotion=emotion, initials=initials))
    (root / "Thumbs.db").write_text("")
    card, splits = prepared(root)
    assert (card.name, card.classes) == ("lab", sorted(emotions.values()))
    assert card.source.startswith("names")
    assert sum(images(card).values()) == 35
    assert len(sides(splits)) == 7
    assert NAMES[names] in sides(splits)
    assert all(len(places) == 1 for places in sides(splits).values())
    for split in splits.values():
        for source, label in zip(split.sources, split.labels, strict=True):
            (told,) = [name for word, name in emotions.items() if word in source]
            assert card.classes[label] == told


def test_emotions_in_file_names_in_folders_of_splits(tmp_path, prepared):
    pen, root = Pen(), tmp_path / "lab"
    for split, count in (("Train", 12), ("Test", 4)):
        for emotion in ("happy", "sad"):
            pen.images(root / split, count, f"{emotion}_{{}}.png")
    pen.image(root / "Test" / "unknown_1.png")
    card, _ = prepared(root)
    assert images(card) == {"train": 22, "val": 2, "test": 8}
    assert card.hygiene["ignored"] == ["Test/unknown_1.png"]
