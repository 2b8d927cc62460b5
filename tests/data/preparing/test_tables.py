"""Any table of images: csv, tsv, Parquet; paths, bytes or pixels; columns found by name or said."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from data.preparing.conftest import sides
from PIL import Image
from wild import EIGHT, SEVEN, Pen, parquet, pixel_csv, table

from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.readers.base import Fault
from fer_tune.data.preparing.readers.tables.columns import find_columns, parsed
from fer_tune.data.preparing.readers.tables.images_of import table_images
from fer_tune.errors import UserError

LABELS = [SEVEN[number % 7] for number in range(70)]


def images(card):
    return {split: card.images(split) for split in card.counts}


def drawn(root, head="path,label", separator=",", count=70, row=None, folder="images", suffix=".png"):
    """Draw a table of ``count`` images and the images; ``row`` makes its fields of a number and the label."""
    pen, rows = Pen(sum(map(ord, folder))), []
    for number in range(count):
        pen.image(root / folder / f"{number}.png", channels=3)
        label = SEVEN[number % 7]
        rows.append(row(number, label) if row else (f"{folder}/{number}.png", label))
    return table(root / f"faces{'.tsv' if separator == chr(9) else '.csv'}", head, rows, separator)


def right(splits, card):
    return all(
        card.classes[label] == SEVEN[int(Path(source.split(":")[0]).stem) % 7]
        for split in splits.values()
        for source, label in zip(split.sources, split.labels, strict=True)
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("head", ["path,label", "file_name,Emotion", "pth,expression", " Image , CLASS "])
def test_paths_and_labels_under_many_names(tmp_path, prepared, separator, head):
    file = drawn(tmp_path / "faces", head.replace(",", separator), separator)
    for source in (file, file.parent):
        card, splits = prepared(source)
        assert (card.name, tuple(card.classes), card.channels) == ("faces", SEVEN, 3)
        assert sum(images(card).values()) == 70
        assert right(splits, card)
        assert card.hygiene["ignored"] == []


def test_columns_are_said_where_names_do_not_tell(tmp_path, prepared):
    file = drawn(tmp_path / "faces", "a,b")
    with pytest.raises(
        UserError, match=r"faces\.csv names no column of the image and label that is known; its first line has a, b"
    ):
        prepared(file)
    card, splits = prepared(file, columns={"path": "a", "label": "b"})
    assert right(splits, card)
    for columns, told in (
        ({"path": "a", "label": "c"}, "--columns label=c: no such column; there are a, b"),
        ({"lable": "b"}, "--columns lable=b: 'lable' is nothing that a column holds; did you mean 'label'"),
    ):
        with pytest.raises(UserError, match=told):
            prepared(file, columns=columns)
    with pytest.raises(UserError, match="--columns and --format kdef contradict"):
        prepared(file, columns={"path": "a"}, format_name="kdef")
    assert parsed(["path=a, label=b"]) == {"path": "a", "label": "b"}
    with pytest.raises(UserError, match="--columns label: write what it holds and its name, such as label=emotion"):
        parsed(["label"])


def test_split_and_group_columns(tmp_path, prepared):
    file = drawn(
        tmp_path / "faces",
        "image,emotion,split,subject",
        row=lambda n, label: (f"{n}.png", label, ["Train", "valid", "TEST"][n % 10 % 3], f"person {n % 10}"),
    )
    card, splits = prepared(file)
    assert set(sides(splits)) == {f"person {number}" for number in range(10)}
    assert all(len(places) == 1 for places in sides(splits).values())
    assert images(card) == {"train": 28, "val": 21, "test": 21}
    assert card.splits["people"] == "the column subject"
    text = file.read_text().replace("TEST", "unknown", 1)
    file.write_text(text)
    assert "is none of train, val and test" in read_raw(file)[1].faults[0].reason


def test_whole_numbers_without_names_are_refused_and_named_by_classes(tmp_path, prepared):
    file = drawn(tmp_path / "faces", row=lambda n, label: (f"images/{n}.png", n % 7))
    with pytest.raises(UserError, match=r"the classes are numbers, 0, 1, 2, 3 and 3 more"):
        prepared(file)
    card, splits = prepared(file, classes={str(code): name for code, name in enumerate(SEVEN)})
    assert right(splits, card)


@pytest.mark.parametrize(
    ("head", "box"),
    [
        ("path,label,x,y,w,h", (4, 6, 10, 12)),
        ("path,label,x1,y1,x2,y2", (4, 6, 14, 18)),
        ("path,label,left,top,right,bottom", (4, 6, 14, 18)),
    ],
)
def test_boxes_are_cut_out_with_a_margin(tmp_path, prepared, head, box):
    file = drawn(tmp_path / "faces", head, row=lambda n, label: (f"images/{n}.png", label, *box))
    card, splits = prepared(file)
    assert card.shape == (14, 12, 3)  # 12x10 and a tenth of it around
    source = splits["train"].sources[0].split()[1]
    whole = np.asarray(Image.open(tmp_path / "faces" / "images" / source))
    np.testing.assert_array_equal(splits["train"].images[0], whole[5:19, 3:15])


def test_a_box_of_unknown_kind_is_asked_for(tmp_path, prepared):
    file = drawn(
        tmp_path / "faces", "path;label;bbox", ";", row=lambda n, label: (f"images/{n}.png", label, "(4, 6, 10, 12)")
    )
    card, _ = prepared(file)
    assert card.shape == (24, 24, 3)
    assert "say --columns box_xywh=bbox" in card.hygiene["warnings"][0]
    assert prepared(file, columns={"box_xywh": "bbox"})[0].shape == (14, 12, 3)
    assert prepared(file, columns={"box_xyxy": "bbox"})[0].shape == (8, 8, 3)


def test_votes_are_kept_and_the_most_is_the_label(tmp_path, prepared):
    def row(number, label):
        votes = [1] * 7
        votes[SEVEN.index(label)] = 5
        return (f"images/{number}.png", *votes) if number else ("images/0.png", *[2] * 7)

    card, splits = prepared(drawn(tmp_path / "faces", f"path,{','.join(SEVEN)}", row=row))
    assert right(splits, card)
    assert "left out: 1 row, undecided votes" in card.hygiene["notes"]
    assert (splits["train"].votes.argmax(axis=1) == splits["train"].labels).all()


def test_a_table_a_split(tmp_path, prepared):
    root = tmp_path / "faces"
    for split in ("train", "valid", "testing"):
        shutil.move(drawn(root, folder=split), root / f"{split}_labels.csv")
    card, splits = prepared(root)
    assert images(card) == {"train": 70, "val": 70, "test": 70}
    assert card.splits["policy"] == "published: test, train, val"
    assert right(splits, card)


def test_pixels_of_any_square_and_labels_as_text(tmp_path, prepared):
    pen = Pen()
    rows = [(SEVEN[number % 7], pen.text(20)) for number in range(70)]
    card, _ = prepared(table(tmp_path / "mine.csv", "emotion,pixels", rows))
    assert (card.name, card.shape, tuple(card.classes)) == ("mine", (20, 20, 1), SEVEN)


def test_faulty_rows_are_told_by_line(tmp_path):
    file = drawn(tmp_path / "faces")
    lines = file.read_text().splitlines()
    lines[1], lines[2], lines[3] = "gone.png,happy", "images/1.png", "images/2.png,"
    file.write_text("\n".join(lines))
    raw = read_raw(file)[1]
    assert [tuple(fault) for fault in raw.faults] == [
        ("faces.csv:2", "names gone.png, but there is no such picture"),
        ("faces.csv:3", "1 fields, the header has 2"),
    ]
    assert raw.notes == ["left out: 1 row, without a label"]


def test_several_tables_are_named(tmp_path):
    file = drawn(tmp_path / "faces")
    shutil.copy(file, file.with_name("other.csv"))
    with pytest.raises(UserError, match=r"(?s)several tables fit; name one of them.*faces\.csv.*other\.csv"):
        read_raw(tmp_path / "faces")


def test_a_table_beside_folders_of_classes_is_not_guessed(tmp_path, prepared):
    root, pen = tmp_path / "faces", Pen()
    rows = []
    for number in range(70):
        pen.image(root / SEVEN[number % 7] / f"{number}.png")
        rows.append((f"{SEVEN[number % 7]}/{number}.png", SEVEN[number % 7]))
    table(root / "labels.csv", "path,label", rows)
    with pytest.raises(UserError, match=r"(?s)read in several ways.*--format folders: .*--format table: "):
        prepared(root)
    assert prepared(root, format_name="folders")[0].hygiene["ignored"] == ["labels.csv"]
    assert images(prepared(root, format_name="table")[0]) == images(prepared(root, format_name="folders")[0])


CODES = [number % 7 for number in range(42)]


@pytest.mark.parametrize(
    ("layout", "labels", "options"),
    [
        ("data/{}-00000-of-00001.parquet", CODES, {"names": SEVEN}),
        ("data/{}-00000-of-00001-3f2a9cfe10b7d845.parquet", CODES, {"names": SEVEN}),
        ("{}/0000.parquet", CODES, {"names": SEVEN, "image": "img", "label": "labels"}),
        ("{}.parquet", [SEVEN[code] for code in CODES], {}),
        ("default/{}/0000.parquet", [SEVEN[code].upper() for code in CODES], {"label": "emotion", "plain": True}),
    ],
)
def test_parquet_of_the_hub(tmp_path, prepared, layout, labels, options):
    root = tmp_path / "hub"
    for split, count in (("train", 42), ("validation", 14), ("test", 21)):
        parquet(root / layout.format(split), labels[:count], **options)
    (root / "README.md").write_text("---\n---\n")
    card, splits = prepared(root)
    assert (card.name, tuple(card.classes), card.shape) == ("hub", SEVEN, (24, 24, 1))
    assert images(card) == {"train": 42, "val": 14, "test": 21}
    assert card.hygiene["ignored"] == ["README.md"]
    pen = Pen(42)
    for image, label, source in zip(
        splits["train"].images, splits["train"].labels, splits["train"].sources, strict=True
    ):
        assert label == int(source.rpartition(":")[2]) % 7
        np.testing.assert_array_equal(image[..., 0], pen.pixels())


def test_shards_are_one_split_and_one_file_is_divided(tmp_path, prepared):
    for number in range(3):
        parquet(tmp_path / "hub" / f"train-{number:05d}-of-00003.parquet", CODES[: 14 + 7 * number], names=SEVEN)
    assert sum(images(prepared(tmp_path / "hub")[0]).values()) == 63
    parquet(tmp_path / "one" / "faces.parquet", CODES, names=SEVEN)
    assert sum(images(prepared(tmp_path / "one" / "faces.parquet")[0]).values()) == 42


def test_parquet_test_without_labels_is_something_to_predict(tmp_path, prepared):
    parquet(tmp_path / "hub" / "train.parquet", CODES, names=SEVEN)
    parquet(tmp_path / "hub" / "test.parquet", [-1] * 9, names=SEVEN)
    card, _ = prepared(tmp_path / "hub")
    assert sum(images(card).values()) == 42
    assert "left out: 9 rows, without a label" in card.hygiene["notes"]


def test_parquet_codes_without_names_are_refused(tmp_path, prepared):
    parquet(tmp_path / "faces.parquet", CODES)
    with pytest.raises(UserError, match="the classes are numbers"):
        prepared(tmp_path / "faces.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(UserError, match=r"broken\.parquet: cannot be read as Parquet"):
        prepared(tmp_path / "broken.parquet", format_name="table")


def kaggle(root):
    pixel_csv(root / "train.csv", range(7), 6, usages=())
    pen = Pen(5)
    table(root / "test.csv", "pixels", [(f'"{pen.text()}"',) for _ in range(6)])
    return root


def test_the_challenges_folder_names_its_candidates(tmp_path, prepared):
    root = kaggle(tmp_path / "challenge")
    pixel_csv(root / "icml_face_data.csv", range(7))
    pixel_csv(root / "fer2013" / "fer2013.csv", range(7))
    with pytest.raises(UserError, match=r"(?s)several csv files fit; name one of them.*\.csv: 63 rows") as caught:
        prepared(root)
    for told in (
        "fer2013/fer2013.csv: 63",
        "icml_face_data.csv: 63",
        "train.csv: 42 rows, undivided",
        "test.csv: without",
    ):
        assert told in str(caught.value)
    card, _ = prepared(root / "train.csv")
    assert (card.name, sum(images(card).values())) == ("challenge", 42)
    assert card.splits["split"] == "random"
    assert card.hygiene["unlabelled"] == [str(root / "test.csv")]


def test_train_csv_alone_is_divided_and_test_csv_can_be_predicted(tmp_path, prepared):
    root = kaggle(tmp_path / "challenge")
    card, _ = prepared(root)
    assert (card.name, tuple(card.classes)) == ("challenge", SEVEN)
    assert card.hygiene["unlabelled"] == ["test.csv"]
    found = list(table_images(root / "test.csv", []))
    assert [name for name, _ in found] == [f"test.csv:{line}" for line in range(2, 8)]
    pen = Pen(5)
    np.testing.assert_array_equal(found[0][1], pen.pixels((48, 48)))
    with pytest.raises(UserError, match="no column with images"):
        list(table_images(table(tmp_path / "x.csv", "a,b", [(1, 2)]), []))
    faults: list[Fault] = []
    broken = table(tmp_path / "y.csv", "pixels", [(f'"{pen.text()}"',), ("7 8",), (f'"{pen.text()}"',)])
    assert [name for name, _ in table_images(broken, faults)] == ["y.csv:2", "y.csv:4"]
    assert faults == [Fault("y.csv:3", "2 pixel values make no square image")]


@pytest.mark.parametrize(
    ("names", "role", "column"),
    [
        (["emotion", "pixels"], "pixels", "pixels"),
        (["Unnamed: 0", "pth", "label", "relFCs"], "path", "pth"),
        (["image_id", "emotion_label", "Subject ID"], "group", "Subject ID"),
        (["filename", "class", "Usage"], "split", "Usage"),
    ],
)
def test_columns_by_their_names(names, role, column):
    assert getattr(find_columns(names), role) == column


def test_eight_emotions_in_a_kaggle_table(tmp_path, prepared):
    pen, rows = Pen(), []
    for number in range(80):
        name = ("anger", *EIGHT[1:])[number % 8]
        pen.image(tmp_path / "a" / "faces" / name / f"image{number:07d}.jpg", channels=3)
        rows.append((number, f"{name}/image{number:07d}.jpg", name, 0.7))
    card, _ = prepared(table(tmp_path / "a" / "labels.csv", ",pth,label,relFCs", rows))
    assert (card.name, tuple(card.classes)) == ("a", EIGHT)


def test_labels_of_one_meaning_are_one_class_and_told(tmp_path, prepared):
    def row(number, label):
        return f"images/{number}.png", {"happy": "Joy" if number % 2 else "happiness", "sad": "Sad"}.get(label, label)

    card, splits = prepared(drawn(tmp_path / "faces", row=row))
    assert tuple(card.classes) == SEVEN
    assert right(splits, card)
    assert "read as one class, 'happy': 'Joy', 'happiness'" in card.hygiene["notes"]
