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
    assert "nearly the same as one of train" in warning
    expression = warning.split("--group ")[1].split("' finds")[0].strip("'").encode().decode("unicode_escape")
    cured, splits = prepared(root, splits=SplitOptions(group=expression))
    assert cured.hygiene["warnings"] == []
    assert group in sides(splits)
    assert all(len(places) == 1 for places in sides(splits).values())


def test_images_that_come_one_by_one_are_not_warned_of(tmp_path, prepared):
    assert prepared(tree(tmp_path / "faces", ["happy", "sad"], 20))[0].hygiene["warnings"] == []
