"""Trees of folders as people have them: splits, emotions and people at any level, in any spelling, beside any junk."""

import os
import shutil

import pytest
from wild import EIGHT, SEVEN, Pen, grown, tree, turned

from fer_tune.data.preparing.readers import read_raw
from fer_tune.errors import UserError


def images(card):
    return {split: card.images(split) for split in card.counts}


@pytest.mark.parametrize("name", ["eval", "Evaluation", "eval_set", "dev", "holdout", "TEST", "test_data", "Testing"])
def test_a_second_folder_under_any_of_its_names_is_the_test(tmp_path, prepared, name):
    card, splits = prepared(tree(tmp_path / "faces", grown(["train", name], SEVEN)))
    assert images(card) == {"train": 21, "val": 7, "test": 28}
    assert all(source.startswith(f"{name}/") for source in splits["test"].sources)
    assert name in card.splits["policy"]


def test_eval_beside_a_test_is_the_validation(tmp_path, prepared):
    card, splits = prepared(tree(tmp_path / "faces", grown(["train", "eval", "test"], SEVEN)))
    assert images(card) == {"train": 28, "val": 28, "test": 28}
    assert splits["val"].sources[0].startswith("eval/")
    card, splits = prepared(tree(tmp_path / "other", grown(["train", "eval", "val"], SEVEN)))
    assert splits["test"].sources[0].startswith("eval/")


@pytest.mark.parametrize("name", ["extra", "more faces", "old"])
def test_a_folder_that_is_no_split_is_named_as_ignored(tmp_path, prepared, name):
    root = tree(tmp_path / "faces", grown(["train", "test", name], SEVEN))
    card, _ = prepared(root)
    assert sum(images(card).values()) == 56
    assert card.hygiene["ignored"] == [f"folder {name} (28 images)"]


def test_junk_of_systems_is_named(tmp_path, prepared):
    root = tree(tmp_path / "faces", grown(["train", "test"], ["happy", "sad"]))
    tree(root, ["train/@eaDir/happy", "__MACOSX/train/happy", "train/happy/@eaDir"])
    (root / "train" / "sad" / "Thumbs.db").write_text("x")
    (root / "train" / "._sad").write_text("x")
    (root / "test" / "sad" / "._1.png").write_text("x")
    (root / ".DS_Store").write_text("x")
    (root / "readme.txt").write_text("x")
    card, _ = prepared(root)
    assert card.classes == ["happy", "sad"]
    assert set(card.hygiene["ignored"]) == {
        "folder __MACOSX (4 images)",
        "folder train/@eaDir (4 images)",
        "folder train/happy/@eaDir (4 images)",
        "readme.txt",
        "Thumbs.db (1)",
        "._* (2)",
        ".DS_Store (1)",
    }


@pytest.mark.parametrize(
    "classes", [("angry", "happy", "neutral", "sad", "surprise"), ("happy", "sad", "neutral"), EIGHT]
)
@pytest.mark.parametrize("size", [(48, 48), (20, 20)])
def test_any_number_of_classes_is_a_dataset_of_those(tmp_path, prepared, classes, size):
    card, _ = prepared(tree(tmp_path / "faces", grown(["train", "test"], classes), size=size))
    assert (card.name, card.classes) == ("faces", sorted(classes))


SPELLINGS = {
    "angry": ("Anger", "ANGRY", "0_angry", "angry faces"),
    "disgust": ("Disgusted", "1-Disgust", "disgust"),
    "fear": ("Fearful", "2.fear", "afraid"),
    "happy": ("Happiness", "Joy", "3 happy"),
    "neutral": ("Neutral", "NEUTRAL", "neutrality"),
    "sad": ("Sadness", "sad_class", "SAD"),
    "surprise": ("Suprise", "surprised", "Surprise"),
    "contempt": ("Contempt", "CONTEMPT", "7_contempt"),
}


@pytest.mark.parametrize("number", range(3))
def test_spellings_are_one_class_in_all_splits(tmp_path, prepared, number):
    names = [spellings[number % len(spellings)] for spellings in SPELLINGS.values()]
    other = [spellings[(number + 1) % len(spellings)] for spellings in SPELLINGS.values()]
    root = tree(tmp_path / "faces", [*grown(["Train"], names), *grown(["Test"], other)])
    assert tuple(prepared(root)[0].classes) == EIGHT


def test_two_spellings_of_one_class_side_by_side_are_read_as_one_and_said_once(tmp_path, prepared):
    root = tree(tmp_path / "faces", grown(["train", "test"], ["Happiness", "joy", "sad"]))
    card, _ = prepared(root)
    assert card.classes == ["happy", "sad"]
    assert images(card)["test"] == 3 * 4
    assert card.counts["test"]["happy"] == 2 * 4
    assert [note for note in card.hygiene["notes"] if "read as one" in note] == [
        "read as one class, 'happy': 'Happiness', 'joy'"
    ]


def test_classes_that_differ_in_case_alone_are_one_under_the_name_that_train_has(tmp_path, prepared):
    folders = [*grown(["train"], ["Bored", "sad"]), *grown(["test"], ["bored", "Sad"])]
    card, _ = prepared(tree(tmp_path / "faces", folders))
    assert card.classes == ["Bored", "sad"]
    assert "read as one class, 'Bored': 'Bored', 'bored'" in card.hygiene["notes"]


FOLDS = {
    "fold_0": [f"fold_{number}" for number in range(5)],
    "split1": ["split1", "split2", "split3"],
    "cv_1": ["cv_1", "cv_2", "cv_3"],
    "batch_2": ["batch_2", "batch_3", "batch_4"],
    "10-fold 1": ["10-fold 1", "10-fold 2", "10-fold 3"],
}


@pytest.mark.parametrize("folds", FOLDS.values(), ids=FOLDS)
@pytest.mark.parametrize("classes", [["happy", "sad", "angry"], ["bored", "awake"]])
@pytest.mark.parametrize("above", [True, False])
def test_folds_are_no_people_and_no_classes(tmp_path, folds, classes, above):
    _, raw = read_raw(tree(tmp_path / "faces", grown(folds, classes) if above else grown(classes, folds)))
    assert (raw.people, raw.classes) == ("", tuple(sorted(classes)))
    assert not any(sample.group for sample in raw.samples)
    assert len(raw.samples) == 4 * len(folds) * len(classes)
    (told,) = [note for note in raw.notes if folds[0] in note]
    assert "folds, which tell neither people nor splits" in told


def test_folds_with_splits_of_their_own_are_asked_about(tmp_path):
    root = tree(tmp_path / "faces", grown(["fold1", "fold2", "fold3"], ["train", "test"], ["happy", "sad"]))
    with pytest.raises(UserError, match=r"fold1, fold2, fold3 have test and train each.*name one of them, such as "):
        read_raw(root)
    assert len(read_raw(root / "fold1")[1].samples) == 16


def test_a_name_that_is_almost_an_emotion_is_told(tmp_path, prepared):
    root = tree(tmp_path / "faces", ["hapy", "sad", "anger"], 12)
    assert "did you mean 'happy'? then say --classes hapy=..." in prepared(root)[0].hygiene["warnings"][0]
    assert prepared(root, classes={"hapy": "happy"})[0].classes == ["angry", "happy", "sad"]


@pytest.mark.parametrize("below", ["test", "Test/images", "testing/unknown"])
def test_test_images_without_classes_are_something_to_predict(tmp_path, prepared, below):
    root = tree(tmp_path / "faces", [*grown(["train"], SEVEN), below], 8)
    card, splits = prepared(root)
    assert images(card) == {"train": 35, "val": 7, "test": 14}
    assert card.hygiene["unlabelled"] == [below.split("/")[0]]
    assert card.hygiene["ignored"] == []
    assert {source.split("/")[0] for split in splits.values() for source in split.sources} == {"train"}


def test_a_test_folder_beside_the_classes_is_something_to_predict(tmp_path, prepared):
    card, _ = prepared(tree(tmp_path / "faces", ["happy", "sad", "angry", "test"], 10))
    assert card.classes == ["angry", "happy", "sad"]
    assert card.hygiene["unlabelled"] == ["test"]


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ((["AF01", "AF02", "AM01"], ["straight", "half"]), "these look like persons"),
        ((["Strong", "Weak", "Dark"],), "these look like lighting"),
        ((["session1", "session2", "session3"],), "these look like sessions"),
        ((["images", "annotations"],), "these look like kinds of files"),
        ((["FER2013Train", "FER2013Valid", "odd"],), "names of splits|no train folder|only one class|no class"),
        ((["cat", "dog", "test"],), "test: names of splits"),
        ((["train_happy", "train_sad", "test_happy", "test_sad"],), "test_happy.*: names of splits"),
        ((["S01_happy", "S01_sad", "S02_happy", "S02_sad"],), "S01_happy.*: names of emotions and of something more"),
        ((["3", "4", "5"],), "the classes are numbers"),
    ],
)
def test_classes_that_are_none_are_refused(tmp_path, prepared, levels, told):
    with pytest.raises(UserError, match=told) as caught:
        prepared(tree(tmp_path / "data", grown(*levels), 9))
    if "look like" in told:
        assert "level 1 holds" in str(caught.value)
        assert "no level holds emotions" in str(caught.value)


def test_classes_that_were_said_are_taken(tmp_path, prepared):
    root = tree(tmp_path / "data", ["Strong", "Weak"], 12)
    assert prepared(root, classes={"Strong": "Strong", "Weak": "Weak"})[0].classes == ["Strong", "Weak"]


def test_emotions_at_two_levels_are_refused(tmp_path):
    root = tree(tmp_path / "faces", [*grown(["train"], SEVEN), *grown(["copy", "train"][:1], ["train"], SEVEN)])
    with pytest.raises(UserError, match=r"emotions stand at two levels, such as train/\w+ and copy/train/\w+"):
        read_raw(root)
    with pytest.raises(UserError, match="its folders name two emotions, 'happy' and 'sad'"):
        read_raw(tree(tmp_path / "both", ["happy/happy", "happy/sad", "sad/sad"]))
    with pytest.raises(UserError, match="its folders name two splits, 'train' and 'test'"):
        read_raw(tree(tmp_path / "split", ["train/happy/test", "train/sad/test", "test/happy/test", "test/sad/test"]))


def test_a_class_that_loses_all_its_images_in_train_is_refused(tmp_path, prepared):
    root = tree(tmp_path / "faces", grown(["train", "test"], ["happy", "sad"]), 10)
    for split, count in (("train", 4), ("test", 2)):
        (root / split / "fear").mkdir()
        for number in range(count):
            Pen(7).image(root / split / "fear" / f"{number}.png")
    told = r"class 'fear' loses all its 3 images in train \(3 also in test\).*--keep-duplicates.*--classes fear="
    with pytest.raises(UserError, match=told):
        prepared(root)
    assert prepared(root, classes={"fear": ""})[0].classes == ["happy", "sad"]
    assert prepared(root, keep_duplicates=True)[0].counts["train"]["fear"] == 3


def test_a_class_that_cannot_be_read_in_train_is_refused(tmp_path, prepared):
    root = tree(tmp_path / "faces", grown(["train", "test"], ["happy", "sad"]), 10)
    tree(root, ["test/fear"], 3)
    for number in range(4):
        Pen().image(root / "train" / "fear" / f"{number}.png").write_bytes(b"")
    with pytest.raises(UserError, match="4 of 47 images cannot be read"):
        prepared(root)
    told = r"'fear' loses all its 3 images in train \(unreadable\), so that it cannot be learnt; --classes fear= leaves"
    with pytest.raises(UserError, match=told):
        prepared(root, skip_unreadable=True)


def test_a_folder_of_images_without_classes_is_told_what_it_misses(tmp_path, prepared):
    Pen().images(tmp_path / "flat", 5, "happy_{}.png")
    with pytest.raises(
        UserError, match=r"no class; there must be two or more.*hold emotions \(happy_0\.png\): a table"
    ):
        prepared(tmp_path / "flat")
    with pytest.raises(UserError, match="only one class, 'happy'"):
        prepared(tree(tmp_path / "one", ["train/joy", "test/joy"]))


def test_a_split_folder_in_another_of_the_same_name_is_one(tmp_path, prepared):
    card, _ = prepared(
        tree(tmp_path / "faces", ["train/train/happy", "train/train/sad", "test/test/happy", "test/test/sad"])
    )
    assert images(card) == {"train": 6, "val": 2, "test": 8}
    assert card.hygiene["warnings"] == []


def test_two_folders_that_may_be_anything_are_read_as_one_and_told(tmp_path, prepared):
    card, _ = prepared(tree(tmp_path / "faces", grown(["lab", "web"], ["happy", "sad"]), 9))
    assert sum(images(card).values()) == 36
    assert card.hygiene["warnings"] == [
        "the folders lab, web above the emotions are read as one; if they tell people apart, say so with --group"
    ]


def test_a_class_that_loses_all_its_images_in_val_is_warned_of(tmp_path, prepared):
    root = tree(tmp_path / "faces", grown(["train", "val", "test"], ["happy", "sad", "fear"]), 6)
    for file in sorted((root / "val" / "fear").iterdir()):
        shutil.copy(root / "test" / "fear" / "0.png", file)
    card, _ = prepared(root)
    told = "class 'fear' loses all its 6 images in val (6 also in test): no figure of val says anything of it"
    assert told in card.hygiene["warnings"]


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".JFIF", ".webp"])
def test_photographs_are_upright(tmp_path, prepared, orientation, suffix):
    for name in ("happy", "sad"):
        for number in range(12):
            turned(tmp_path / "photos" / name / f"{number}{suffix}", orientation, 5 * number + 60 * (name == "sad"))
    card, splits = prepared(tmp_path / "photos")
    assert card.shape == (40, 30, 3)
    assert (splits["train"].images[:, :8] > 200).all()
    assert (splits["train"].images[:, 14:] < 160).all()


def test_damaged_exif_is_as_it_is_stored(tmp_path, prepared):
    for name in ("happy", "sad"):
        for number in range(12):
            path = turned(tmp_path / "photos" / name / f"{number}.jpg", 6, 5 * number + 60 * (name == "sad"))
            path.write_bytes(path.read_bytes().replace(b"MM\x00*", b"XX\x00*").replace(b"II*\x00", b"XX*\x00"))
    assert prepared(tmp_path / "photos")[0].shape == (30, 40, 3)


def test_a_link_to_a_folder_of_images_is_no_ignored_folder(tmp_path, prepared):
    root = tree(tmp_path / "faces", ["happy", "sad"], 10)
    tree(tmp_path / "elsewhere", ["angry"], 10)
    os.symlink(tmp_path / "elsewhere" / "angry", root / "angry")
    card, _ = prepared(root)
    assert (card.classes, card.hygiene["ignored"]) == (["angry", "happy", "sad"], [])


def test_a_class_that_is_no_emotion_among_emotions_is_told(tmp_path, prepared):
    root = tree(tmp_path / "faces", ["happy", "sad", "angry", "old stuff"], 10)
    card, _ = prepared(root)
    assert card.classes == ["angry", "happy", "old stuff", "sad"]
    told = "read as a class, though no basic emotion: 'old stuff' (10 images); --classes old stuff= leaves it out"
    assert card.hygiene["notes"] == [told]
    assert prepared(root, classes={"old stuff": ""})[0].classes == ["angry", "happy", "sad"]


@pytest.mark.parametrize("others", [["learn"], ["learn", "more"]])
def test_a_test_part_is_not_mixed_in_where_the_training_part_is_called_otherwise(tmp_path, others):
    for split in (*others, "test"):
        for emotion in SEVEN[:3]:
            Pen(len(split)).images(tmp_path / "faces" / split / emotion, 3)
    with pytest.raises(UserError, match=rf"there is test, but no train folder beside {', '.join(others)}; name the"):
        read_raw(tmp_path / "faces")
    (tmp_path / "faces" / "learn").rename(tmp_path / "faces" / "training")
    read_raw(tmp_path / "faces")
