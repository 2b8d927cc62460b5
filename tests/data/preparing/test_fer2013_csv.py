import re
from collections import Counter

import numpy as np
import pytest
from drawing import EMOTIONS, draw_fer2013_csv
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_tune.data.preparing.readers import read_raw
from fer_tune.data.preparing.readers.base import UnreadableError
from fer_tune.data.preparing.readers.published.fer2013.codes import CODES
from fer_tune.data.preparing.readers.tables.pixel_rows import parse_fields, parse_pixels
from fer_tune.errors import UserError

HEADER = ["emotion", "pixels", "usage"]
PIXELS = " ".join(["7"] * 2304)


def test_usages_are_the_splits_and_codes_map_by_name(tmp_path):
    name, raw = read_raw(draw_fer2013_csv(tmp_path / "fer2013.csv", 2))
    assert name == "fer2013-csv"
    assert Counter(sample.part for sample in raw.samples) == {"train": 14, "val": 14, "test": 14}
    # the drawing writes the classes in the order of EMOTIONS, two rows each, with the challenge's codes
    assert [sample.label for sample in raw.samples[:14]] == [label for label in range(7) for _ in range(2)]
    assert raw.samples[0].source == "fer2013.csv:2"
    assert raw.classes == EMOTIONS


@pytest.mark.parametrize(
    "columns",
    [
        ("emotion", " Usage", " pixels"),
        ("Usage", "emotion", "pixels"),
        (" EMOTION ", "pixels", "usage "),
    ],
)
def test_padded_and_reordered_headers_read_the_same(tmp_path, columns):
    plain = read_raw(draw_fer2013_csv(tmp_path / "a" / "fer.csv", 1))[1]
    other = read_raw(draw_fer2013_csv(tmp_path / "b" / "fer.csv", 1, columns=columns))[1]
    for left, right in zip(plain.samples, other.samples, strict=True):
        assert left[:3] == right[:3]
        np.testing.assert_array_equal(plain.load(left), other.load(right))


def test_quotes_byte_order_mark_and_windows_line_ends(tmp_path):
    plain = draw_fer2013_csv(tmp_path / "a" / "fer.csv", 1)
    rows = [",".join(f'"{cell}"' for cell in line.split(",")) for line in plain.read_text().splitlines()]
    quoted = tmp_path / "b" / "fer.csv"
    quoted.parent.mkdir()
    quoted.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*rows, "", ""]).encode())
    left, right = read_raw(plain)[1], read_raw(quoted)[1]
    assert [sample[:3] for sample in left.samples] == [sample[:3] for sample in right.samples]
    np.testing.assert_array_equal(left.load(left.samples[-1]), right.load(right.samples[-1]))
    assert right.faults == []


def test_a_folder_around_the_csv_is_looked_into(tmp_path):
    draw_fer2013_csv(tmp_path / "download" / "fer2013" / "fer2013.csv", 1)
    assert len(read_raw(tmp_path / "download")[1].samples) == 21


def test_several_csv_files_are_refused(tmp_path):
    for name in ("a.csv", "b.csv"):
        draw_fer2013_csv(tmp_path / name, 1)
    with pytest.raises(UserError, match="several csv files fit; name one"):
        read_raw(tmp_path)


def test_without_private_test_the_public_one_is_the_test(tmp_path):
    raw = read_raw(draw_fer2013_csv(tmp_path / "fer.csv", 1, usages=("Training", "PublicTest")))[1]
    assert Counter(sample.part for sample in raw.samples) == {"train": 7, "test": 7}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("3,1 2 3", "truncated row: 2 fields, the header has 3"),
        ("3,1 2 3,Training,more", "4 fields, the header has 3"),
        (f"7,{PIXELS},Training", "unknown emotion '7', the codes are 0 to 6"),
        (f"happy,{PIXELS},Training", "unknown emotion 'happy'"),
        (f"3,{PIXELS},Trainin", "unknown Usage 'Trainin', it is Training, PublicTest, PrivateTest"),
    ],
)
def test_faulty_rows_are_named_by_file_and_line(tmp_path, row, reason):
    file = draw_fer2013_csv(tmp_path / "fer.csv", 1)
    with file.open("a") as stream:
        stream.write(row + "\n")
    raw = read_raw(file)[1]
    assert [fault.source for fault in raw.faults] == ["fer.csv:23"]
    assert reason in raw.faults[0].reason
    assert len(raw.samples) == 21


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (PIXELS[:-2], "2303 pixel values, expected 2304"),
        (PIXELS + " 7", "2305 pixel values"),
        (PIXELS[:-1] + "256", "pixel value '256'"),
        (PIXELS[:-1] + "-1", "pixel value '-1'"),
        (PIXELS[:-1] + "-", "pixel value '-'"),
        (PIXELS[:-1] + "x", "pixel value 'x'"),
        (PIXELS[:-1] + "²", "pixel value '²'"),
    ],
)
def test_faulty_pixels(pixels, reason):
    with pytest.raises(UnreadableError, match=reason):
        parse_pixels(pixels)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.sampled_from(["Training", "PublicTest", "PrivateTest"]))
def test_any_image_survives_the_round_trip(seed, code, usage):
    image = np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)
    row = f"{code},{' '.join(map(str, image.ravel()))},{usage}\n".encode()
    told, part, text = parse_fields(row, HEADER, CODES)
    assert (CODES[told], part) == (["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"][code], usage)
    np.testing.assert_array_equal(parse_pixels(text), image)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='0123456,"\n\r\0 T', max_size=60).map(str.encode))
def test_any_junk_is_a_told_fault_and_never_a_crash(raw):
    with pytest.raises(UnreadableError):
        parse_pixels(parse_fields(raw, HEADER, CODES)[2])


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789-+._x²٣", min_size=1, max_size=4), st.integers(0, 2303))
def test_one_odd_word_among_the_pixels_is_its_value_or_a_told_fault(word, place):
    words = PIXELS.split()
    words[place] = word
    if word.isascii() and word.isdigit() and int(word) < 256:
        assert parse_pixels(" ".join(words)).ravel()[place] == int(word)
    else:
        with pytest.raises(UnreadableError, match=re.escape(repr(word))):
            parse_pixels(" ".join(words))


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("code", ["{}", "{}.0"])
def test_other_separators_and_codes_as_pandas_writes_them_beside_empty_ones(tmp_path, separator, code):
    plain = draw_fer2013_csv(tmp_path / "a" / "fer.csv", 1)
    head, *rows = (line.split(",") for line in plain.read_text().splitlines())
    lines = [head, *([code.format(row[0]), *row[1:]] for row in rows)]
    other = tmp_path / "b" / "fer.csv"
    other.parent.mkdir()
    other.write_text("\n".join(separator.join(line) for line in lines))
    left, (name, right) = read_raw(plain)[1], read_raw(other)
    assert name == "fer2013-csv"
    assert right.faults == []
    assert [sample[:3] for sample in left.samples] == [sample[:3] for sample in right.samples]
    np.testing.assert_array_equal(left.load(left.samples[-1]), right.load(right.samples[-1]))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.encode("utf-16"), r"faces\.csv was not read: it is in UTF-16; save it as UTF-8"),
        (lambda text: text.replace("\n", "\r").encode(), r"its lines end with carriage returns alone; save it with"),
        (lambda text: text.splitlines()[0].encode(), r"faces\.csv: holds the names of columns and no rows"),
        (lambda text: b"", r"faces\.csv is an empty file \(0 bytes\)"),
    ],
)
def test_a_text_that_is_no_table_line_by_line_is_told(tmp_path, change, told):
    file = draw_fer2013_csv(tmp_path / "faces.csv", 1)
    file.write_bytes(change(file.read_text()))
    with pytest.raises(UserError, match=told):
        read_raw(file)
