import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from drawing import EMOTIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from raw_trees import RAF_CODES, draw_raf_folders, draw_raf_official

from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.readers.base import UnreadableError
from fer_tune.data.preparing.readers.published.raf_db import distributed as raf_official
from fer_tune.errors import UserError


def label_list(root):
    return root / "basic" / "EmoLabel" / "list_patition_label.txt"


def parts(raw):
    return Counter(sample.part for sample in raw.samples)


def test_official_layout_gives_labels_by_code_and_rgb_pixels(tmp_path):
    root = draw_raf_official(tmp_path / "RAF-DB", 4)
    name, raw = read_raw(root)
    assert (name, raw.name, raw.classes, raw.channels) == ("raf-db", "raf-db", EMOTIONS, 3)
    assert parts(raw) == {"train": 28, "test": 14}
    assert raw.faults == raw.notes == []
    codes = dict(line.split() for line in label_list(root).read_text().splitlines())
    for sample in raw.samples:
        plain = Path(sample.source).name.replace("_aligned", "")
        assert EMOTIONS[sample.label] == RAF_CODES[int(codes[plain])]
        np.testing.assert_array_equal(raw.load(sample), np.asarray(Image.open(root / "basic" / sample.source)))
    assert raw.load(raw.samples[0]).shape == (100, 100, 3)


@pytest.mark.parametrize("at", ["", "basic", "raf-basic"])
def test_official_layout_is_found_where_copies_have_it(tmp_path, at):
    root = draw_raf_official(tmp_path / "RAF-DB", 1, size=16)
    if at == "raf-basic":
        (root / "basic").rename(root / "raf-basic")
    assert read_raw(root / at if at != "raf-basic" else root)[0] == "raf-db"


def test_every_fault_of_the_list_is_told_with_its_line(tmp_path):
    root = draw_raf_official(tmp_path / "RAF-DB", 2, size=16)
    lines = label_list(root).read_text().splitlines()
    lines[1] = "train_00002.jpg 9"
    lines[2] = "train_00003.jpg"
    lines[3] = "photo_4.jpg 1"
    lines[4] = "train_77777.jpg 1"
    lines[6] = lines[5]
    label_list(root).write_text("\n".join([*lines, "", "train_caf\xe9.jpg 3"]), encoding="latin-1")
    raw = read_raw(root)[1]
    assert {fault.source.split(":")[1]: fault.reason for fault in raw.faults} == {
        "2": "unknown emotion '9', the codes are 1 to 7",
        "3": "1 words, expected a file name and a code",
        "4": "'photo_4.jpg' is not named train_... or test_...",
        "5": "names train_77777.jpg, but there is no Image/aligned/train_77777_aligned.jpg",
        "7": "names train_00006.jpg again, after line 6",
        "23": r"names train_caf\xe9.jpg, but there is no Image/aligned/train_caf\xe9_aligned.jpg",
    }
    assert {fault.source.split(":")[0] for fault in raw.faults} == {"list_patition_label.txt"}
    assert raw.notes == ["5 files in Image/aligned of which list_patition_label.txt says nothing"]
    assert len(raw.samples) == 16


def test_archive_of_images_that_is_not_unpacked(tmp_path):
    root = draw_raf_official(tmp_path / "RAF-DB", 1, size=16)
    (root / "basic" / "Image" / "aligned").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"Image/aligned: no such folder; unpack aligned\.zip"):
        read_raw(root)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=60))
def test_any_line_is_parsed_or_told_unreadable(raw):
    try:
        name, label, part = raf_official.parse_line(raw)
    except UnreadableError:
        return
    assert name.startswith(f"{part}_")
    assert 0 <= label < 7


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["train", "test"]), st.integers(0, 99_999), st.integers(1, 7))
def test_every_good_line_is_parsed(part, number, code):
    name = f"{part}_{number:05d}.jpg"
    for line in (f"{name} {code}", f"  {name}\t{code} \r"):
        found, label, of = raf_official.parse_line(line.encode())
        assert (found, EMOTIONS[label], of) == (name, RAF_CODES[code], part)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=30).filter(lambda raw: b"\n" not in raw and b"\r" not in raw), max_size=8))
def test_any_label_list_gives_a_sample_or_a_fault_for_each_line(lines):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "EmoLabel").mkdir()
        (root / "Image" / "aligned").mkdir(parents=True)
        (root / "EmoLabel" / "list_patition_label.txt").write_bytes(b"\n".join(lines))
        raw = raf_official.read(root)
        assert len(raw.samples) + len(raw.faults) == sum(bool(line.strip()) for line in lines)
        for fault in raw.faults:
            fault.source.encode(), fault.reason.encode()


def test_folders_give_the_same_labels(tmp_path):
    root = draw_raf_folders(tmp_path / "archive", 4)
    name, raw = read_raw(root)
    assert (name, raw.name, raw.channels) == ("raf-db-folders", "raf-db", 3)
    assert parts(raw) == {"train": 28, "test": 14}
    assert raw.notes == []
    for sample in raw.samples:
        part, code, _ = sample.source.split("/")
        assert (sample.part, EMOTIONS[sample.label]) == (part, RAF_CODES[int(code)])
        assert raw.load(sample).shape == (100, 100, 3)


def test_csv_that_contradicts_the_folders_is_told(tmp_path):
    root = draw_raf_folders(tmp_path / "archive", 2, size=16)
    file = root / "train_labels.csv"
    file.write_text(file.read_text().replace("train_00001_aligned.jpg,1", "train_00001_aligned.jpg,2"))
    assert read_raw(root)[1].notes == [
        "train_labels.csv gives 1 image another label than the folder, which decides: train/1/train_00001_aligned.jpg"
    ]


def test_faults_of_the_folders(tmp_path):
    root = draw_raf_folders(tmp_path / "archive", 2, size=16) / "DATASET"
    (root / "train" / "3").rename(root / "train" / "three")
    with pytest.raises(UserError, match=r"train/three: no class of RAF-DB is called so; they are 1 to 7"):
        read_raw(root)
    (root / "train" / "three").rename(tmp_path / "three")
    with pytest.raises(UserError, match=r"train: no folder 3 \(disgust\)"):
        read_raw(root)
    (root / "train" / "3").mkdir()
    with pytest.raises(UserError, match=r"train/3: no images in it; it should hold those of disgust"):
        read_raw(root)
