"""Published datasets as people have them on disk: FER+, AffectNet, KDEF, CK+, JAFFE, ExpW, RAF-DB's variants."""

import shutil

import numpy as np
import pytest
from data.preparing.conftest import sides
from PIL import Image
from raw_trees import draw_raf_folders, draw_raf_official
from wild import AFFECTNET, EIGHT, SEVEN, VOTED, Pen, affectnet, ck48, ferplus, jaffe, kdef, pixel_csv, table

from fer_tune.data.labels import canonical
from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.splits import SplitOptions
from fer_tune.errors import UserError


def images(card):
    return {split: card.images(split) for split in card.counts}


@pytest.mark.parametrize("options", [{}, {"header": False, "csv": False}, {"folders": "images/fer2013_{}"}])
def test_ferplus_by_its_folders(tmp_path, prepared, options):
    card, splits = prepared(ferplus(tmp_path / "FERPlus", **options))
    assert (card.name, tuple(card.classes)) == ("ferplus", EIGHT)
    assert images(card) == {"train": 32, "val": 32, "test": 32}
    assert all(set(counts.values()) == {4} for counts in card.counts.values())
    told = "left out: 9 of 105 images, 3 unknown to most, 3 no face to most (NF), 3 undecided"
    assert told in card.hygiene["notes"]
    assert card.hygiene["ignored"] == []
    for split in splits.values():  # seven of ten saw the label, three the emotion that comes next in the file
        assert split.votes.shape == (32, 8)
        assert (split.votes.argmax(axis=1) == split.labels).all()
        assert set(split.votes.sum(axis=1)) == {10}
    assert card.votes


def test_ferplus_beside_the_csv_of_the_challenge(tmp_path, prepared):
    root = tmp_path / "both"
    pixel_csv(root / "fer2013.csv", range(7), 3)
    votes = [[0] * 10 for _ in range(63)]
    for row, counts in enumerate(votes):
        counts[row % 8] = 10
    parts = ["Training"] * 21 + ["PublicTest"] * 21 + ["PrivateTest"] * 21
    table(
        root / "fer2013new.csv",
        f"Usage,Image name,{VOTED}",
        [(part, f"fer{row:07d}.png", *counts) for row, (part, counts) in enumerate(zip(parts, votes, strict=True))],
    )
    card, splits = prepared(root)
    assert (card.name, images(card)) == ("ferplus", {"train": 21, "val": 21, "test": 21})
    names = [canonical(name) for name in VOTED.split(",")]
    for source, label in zip(splits["train"].sources, splits["train"].labels, strict=True):
        assert card.classes[label] == names[(int(source.rpartition(":")[2]) - 2) % 8]
    assert read_raw(root, "fer2013-csv")[1].classes == SEVEN
    lines = (root / "fer2013new.csv").read_text().splitlines()
    for changed, told in (
        (lines[:-1], "62 rows of votes, but fer2013.csv has 63"),
        ([*lines[:1], *lines[2:], lines[1]], "Usage"),
    ):
        (root / "fer2013new.csv").write_text("\n".join(changed))
        with pytest.raises(UserError, match=f"{told}.*row for row, as published"):
            read_raw(root)


def test_faulty_votes_are_told_by_line(tmp_path):
    root = ferplus(tmp_path / "FERPlus", 1, csv=False)
    file = root / "FER2013Test" / "label.csv"
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace(",7,", ",many,")
    lines[3] = lines[3].replace("fer", "lost", 1)
    file.write_text("\n".join(lines))
    raw = read_raw(root)[1]
    assert [tuple(fault) for fault in raw.faults] == [
        ("FER2013Test/label.csv:3", "expected a name, a box and 10 votes"),
        ("FER2013Test/label.csv:4", f"names '{lines[3].split(',')[0]}', but there is no such image"),
    ]


@pytest.mark.parametrize(
    "splits", [("train_set", "val_set"), ("Train_Set", "Val_Set"), ("train", "val"), ("training", "validation")]
)
def test_affectnet_as_distributed(tmp_path, prepared, splits):
    card, found = prepared(affectnet(tmp_path / "data", splits=splits))
    assert (card.name, tuple(card.classes)) == ("affectnet", EIGHT)
    assert card.images("train") + card.images("val") == 32
    assert set(card.counts["test"].values()) == {2}
    assert f"there is no test, so the test is {splits[1]}" in card.splits["policy"]
    for source, label in zip(found["test"].sources, found["test"].labels, strict=True):
        assert card.classes[label] == AFFECTNET[int(source.rpartition("/")[2].split(".")[0]) % 8]


def test_affectnet_images_of_no_emotion_are_told_and_left_out(tmp_path, prepared):
    card, _ = prepared(affectnet(tmp_path / "data", codes=11))
    assert tuple(card.classes) == EIGHT
    assert set(card.hygiene["notes"][1:]) == {
        "left out: 6 images, no face",
        "left out: 6 images, none of the emotions",
        "left out: 6 images, uncertain",
    }


def test_affectnet_image_without_annotation_is_a_fault(tmp_path):
    root = affectnet(tmp_path / "data")
    (root / "val_set" / "annotations" / "3_exp.npy").unlink()
    np.save(root / "val_set" / "annotations" / "4_exp.npy", np.array("smile"))
    faults = read_raw(root)[1].faults
    assert [fault.source for fault in faults] == ["val_set/images/3.jpg", "val_set/images/4.jpg"]
    assert faults[0].reason == "no expression from 0 to 10 in annotations/3_exp.npy"


def numbered(root, codes, splits=("train", "val")):
    pen = Pen()
    for split in splits:
        for code in codes:
            pen.images(root / split / str(code), 3, channels=3)
    return root


def test_affectnet_as_numbered_folders(tmp_path, prepared):
    card, found = prepared(numbered(tmp_path / "AffectNet-8", range(8)))
    assert (card.name, tuple(card.classes)) == ("affectnet", EIGHT)
    for source, label in zip(found["test"].sources, found["test"].labels, strict=True):
        assert card.classes[label] == AFFECTNET[int(source.split("/")[1])]


def test_numbers_that_may_be_anybodys_codes_are_refused_with_what_chooses(tmp_path, prepared):
    root = numbered(tmp_path / "faces", range(8))
    with pytest.raises(UserError, match=r"classes are numbers, 0, 1, 2, 3 and 4 more.*--format affectnet-folders"):
        prepared(root)
    assert prepared(root, format_name="affectnet-folders")[0].name == "affectnet"
    names = {str(code): name for code, name in enumerate(AFFECTNET)}
    card, _ = prepared(root, classes=names)
    assert (card.name, tuple(card.classes)) == ("faces", EIGHT)


@pytest.mark.parametrize(
    "header", ["subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"]
)
def test_affectnet_by_its_file_lists(tmp_path, prepared, header):
    pen, root = Pen(), tmp_path / "lists"
    for name, count in (("training", 22), ("validation", 11)):
        rows = []
        for number in range(count):
            pen.image(root / "Manually_Annotated_Images" / str(number % 3) / f"{name}{number}.jpg", (40, 40), 3)
            rows.append((f"{number % 3}/{name}{number}.jpg", 10, 10, 20, 20, "1;2;3", number % 11, 0.1, -0.2))
        table(root / f"{name}.csv", header, rows)
    card, splits = prepared(root)
    assert (card.name, tuple(card.classes)) == ("affectnet", EIGHT)
    assert card.shape == (24, 24, 3)  # 20x20 and a tenth of it around on each side
    assert "left out: 9 rows, of no emotion" in card.hygiene["notes"]
    assert len(splits["test"]) == 8


@pytest.mark.parametrize("options", [{}, {"flat": True}, {"suffix": ".jpg"}])
def test_kdef_keeps_people_of_both_sessions_on_one_side(tmp_path, prepared, options):
    card, splits = prepared(kdef(tmp_path / "KDEF_and_AKDEF" / "KDEF", **options))
    assert (card.name, tuple(card.classes)) == ("kdef", SEVEN)
    assert card.shape == (38, 28, 3)  # not squashed
    assert set(sides(splits)) == {"F01", "F02", "M01", "M02"}
    assert all(len(places) == 1 for places in sides(splits).values())
    codes = {
        "AF": "fear",
        "AN": "angry",
        "DI": "disgust",
        "HA": "happy",
        "NE": "neutral",
        "SA": "sad",
        "SU": "surprise",
    }
    for split in splits.values():
        for source, label in zip(split.sources, split.labels, strict=True):
            assert card.classes[label] == codes[source.rpartition("/")[2][4:6]]


@pytest.mark.parametrize("emotions", [("anger", "contempt", "fear"), ("ANGER", "Contempt", "Sadness", "Happiness")])
def test_ck48_keeps_people_on_one_side_without_being_told(tmp_path, prepared, emotions):
    card, splits = prepared(ck48(tmp_path / "CK+48", emotions=emotions))
    assert card.name == "ckplus"
    assert card.classes == sorted(canonical(name) for name in emotions)
    assert set(sides(splits)) == {f"S{number:03d}" for number in range(10, 16)}
    assert all(len(places) == 1 for places in sides(splits).values())
    assert card.hygiene["warnings"] == []


def test_ck48_divided_by_somebody_loses_the_people_who_cross(tmp_path, prepared):
    root = ck48(tmp_path / "ck")
    for folder in list(root.iterdir()):
        for file in sorted(folder.iterdir()):
            person = int(file.name[1:4])
            part = "test" if person >= 14 or (person == 13 and file.name.endswith("16.png")) else "train"
            target = root / part / folder.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.move(file, target / file.name)
        folder.rmdir()
    card, splits = prepared(root)
    assert all(len(places) == 1 for places in sides(splits).values())
    assert card.splits["dropped_as_group_of_another_split"]["train"] == 10
    anew, again = prepared(root, splits=SplitOptions("character"))
    assert sum(images(anew).values()) == 90
    assert all(len(places) == 1 for places in sides(again).values())


def test_ck_as_distributed(tmp_path, prepared):
    pen, root = Pen(), tmp_path / "CK+"
    for person in ("S005", "S010", "S011", "S014"):
        for sequence, code in (("001", 3), ("002", 1), ("003", 7), ("004", None)):
            for frame in range(1, 6):
                pen.image(root / "cohn-kanade-images" / person / sequence / f"{person}_{sequence}_{frame:08d}.png")
            folder = root / "Emotion" / person / sequence
            folder.mkdir(parents=True)
            if code is not None:
                (folder / f"{person}_{sequence}_00000005_emotion.txt").write_text(f"   {code}.0000000e+00\n")
    card, splits = prepared(root)
    assert (card.name, card.classes) == ("ckplus", ["angry", "disgust", "surprise"])
    assert sum(images(card).values()) == 4 * 3 * 3
    assert all(
        source.rpartition("_")[2] in ("00000003.png", "00000004.png", "00000005.png")
        for source in splits["train"].sources
    )
    assert set(sides(splits)) == {"S005", "S010", "S011", "S014"}
    assert "folder cohn-kanade-images/S005/004 (5 images)" in card.hygiene["ignored"]


@pytest.mark.parametrize("name", ["ckextended.csv", "CK+.csv", "inner/ck.csv"])
def test_ckextended_has_eight_classes_and_is_not_fer2013(tmp_path, prepared, name):
    pixel_csv(tmp_path / "data" / name, range(8))
    card, _ = prepared(tmp_path / "data")
    assert (card.name, tuple(card.classes)) == ("ckplus", EIGHT)
    assert images(card) == {"train": 24, "val": 24, "test": 24}


def test_only_what_is_fer2013_is_called_so(tmp_path, prepared):
    mine = pixel_csv(tmp_path / "mine" / "my_faces.csv", range(7))
    assert prepared(mine)[0].name == "my_faces"
    theirs = pixel_csv(tmp_path / "theirs" / "fer2013.csv", range(7))
    card, _ = prepared(theirs)
    assert card.name == "fer2013"
    assert "21 of 28,709 Training" in card.hygiene["warnings"][0]
    eight = pixel_csv(tmp_path / "eight" / "emotions.csv", range(8))
    assert prepared(eight)[0].name == "emotions"


@pytest.mark.parametrize(
    "names",
    [
        "{person}.{emotion}{k}.{number}.tiff",
        "faces/{person}.{emotion}{k}.{number}.PNG",
        "{person}-{emotion}{k}-{number}.jpg",
    ],
)
def test_jaffe(tmp_path, prepared, names):
    card, splits = prepared(jaffe(tmp_path / "jaffedbase", names))
    assert (card.name, tuple(card.classes)) == ("jaffe", SEVEN)
    assert sum(images(card).values()) == 70
    assert set(sides(splits)) == {"KA", "KL", "KM", "KR", "TM"}
    assert all(len(places) == 1 for places in sides(splits).values())


def test_jaffe_with_its_readme(tmp_path, prepared):
    root = jaffe(tmp_path / "jaffe")
    (root / "README").write_text("about")
    (root / "KA.XX1.1.tiff").write_bytes((root / "KA.AN1.1.tiff").read_bytes())
    assert prepared(root)[0].hygiene["ignored"] == ["README", "KA.XX1.1.tiff"]


def test_expw_faces_are_cut_out_with_a_margin(tmp_path, prepared):
    root = tmp_path / "ExpW"
    (root / "image").mkdir(parents=True)
    lines = []
    for number in range(28):
        picture = np.zeros((100, 120, 3), np.uint8)
        picture[20:40, 50:80] = 10 + 3 * number
        Image.fromarray(picture).save(root / "image" / f"web_{number}.png")
        lines.append(f"web_{number}.png 0 20 50 80 40 99.1 {number % 7}")
    (root / "label").mkdir()
    (root / "label" / "label.lst").write_text(
        "\n".join([*lines, "web_0.png 1 0 0 10 10 50.0 9", "gone.png 0 1 1 5 5 1 1"])
    )
    raw = read_raw(root)[1]
    assert [fault.reason for fault in raw.faults] == [
        "unknown emotion '9', the codes are 0 to 6",
        "names gone.png, but there is no such picture",
    ]
    card, splits = prepared(root, skip_unreadable=True)
    assert (card.name, tuple(card.classes), card.shape) == ("expw", SEVEN, (24, 36, 3))
    image = splits["train"].images[0]
    assert (image[2:-2, 3:-3] > 0).all()
    assert (image[:2] == 0).all()
    assert (image[:, :3] == 0).all()


def test_raf_db_with_a_validation_folder(tmp_path, prepared):
    root = draw_raf_folders(tmp_path / "raf", 4, size=16)
    for code in range(1, 8):
        folder = root / "DATASET" / "valid" / str(code)
        folder.mkdir(parents=True)
        file = sorted((root / "DATASET" / "train" / str(code)).iterdir())[0]
        shutil.move(file, folder / file.name)
    card, _ = prepared(root)
    assert (card.name, images(card)) == ("raf-db", {"train": 21, "val": 7, "test": 14})
    assert card.splits["policy"] == "published: test, train, valid as val"


def test_raf_db_with_a_third_column(tmp_path, prepared):
    root = draw_raf_official(tmp_path / "raf", 6, size=16)
    file = root / "basic" / "EmoLabel" / "list_patition_label.txt"
    lines = file.read_text().splitlines()
    file.write_text(
        "\n".join(
            f"{line} {'valid' if line.startswith('train') and n % 3 == 0 else line.split('_')[0]}"
            for n, line in enumerate(lines)
        )
    )
    card, _ = prepared(root)
    assert images(card) == {"train": 28, "val": 14, "test": 21}
    file.write_text("\n".join(f"{line} 0.97" for line in lines))
    assert (
        "the third column of list_patition_label.txt is not read: no split in 63 lines"
        in prepared(root)[0].hygiene["notes"]
    )


def test_raf_db_as_a_csv_a_split(tmp_path, prepared):
    pen, root = Pen(), tmp_path / "raf"
    codes = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
    for split, count in (("train", 28), ("valid", 7), ("test", 14)):
        rows = []
        for number in range(count):
            name = f"{split}_{number:05d}.jpg"
            pen.image(root / "images" / name, channels=3)
            rows.append((name, number % 7 + 1))
        table(root / f"{split}.csv", "image,label", rows)
    card, splits = prepared(root)
    assert (card.name, tuple(card.classes)) == ("raf-db", SEVEN)
    assert images(card) == {"train": 28, "val": 7, "test": 14}
    for source, label in zip(splits["test"].sources, splits["test"].labels, strict=True):
        assert card.classes[label] == codes[int(source[-9:-4]) % 7 + 1]


@pytest.mark.parametrize("layout", ["{split}/{kind}", "{kind}/{split}"])
def test_object_detection_exports_with_one_face(tmp_path, prepared, layout):
    root = tmp_path / "AffectNet-YOLO"
    names = ["Anger", "Contempt", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"]
    for split, count in (("train", 16), ("valid", 8), ("test", 8)):
        pictures, labels = (root / layout.format(split=split, kind=kind) for kind in ("images", "labels"))
        labels.mkdir(parents=True)
        for number in range(count + 2):
            picture = np.zeros((50, 100), np.uint8)
            picture[20:40, 50:90] = 20 + 7 * number + ("train", "valid", "test").index(split)
            pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(pictures / f"ffhq_{number}.png")
            box = f"{number % 8} 0.7 0.6 0.4 0.4\n"
            (labels / f"ffhq_{number}.txt").write_text({count: "", count + 1: 2 * box}.get(number, box))
    (root / "data.yaml").write_text(f"train: ../train/images\nnc: 8\nnames: {names}\n")
    card, splits = prepared(root)
    assert (tuple(card.classes), card.shape, images(card)) == (EIGHT, (24, 48, 1), {"train": 16, "val": 8, "test": 8})
    assert card.hygiene["notes"][1:] == ["left out: 3 pictures with no box", "left out: 3 pictures with several boxes"]
    assert (splits["train"].images[:, 3:-3, 5:-5] > 0).all()
    for source, label in zip(splits["val"].sources, splits["val"].labels, strict=True):
        assert card.classes[label] == canonical(names[int(source[-5])])
    (root / layout.format(split="test", kind="labels") / "ffhq_0.txt").write_text("9 0.5 0.5 1 1")
    assert read_raw(root)[1].faults[0].reason == "labels/ffhq_0.txt:1: class 9, but data.yaml names 8"
