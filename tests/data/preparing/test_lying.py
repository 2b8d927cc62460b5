"""What lies where no dataset is found is named, with what would make it one."""

import zipfile
from pathlib import Path

import pytest
from wild import SEVEN, Pen, table

from fer_tune.data.preparing.readers import read_raw
from fer_tune.errors import UserError


def listed(folder: Path, head: str, shown: str) -> None:
    """Pictures in one folder, and a table of their names as ``shown``, and labels."""
    pen, rows = Pen(0), []
    for number in range(14):
        pen.image(folder / "images" / f"{number}.png")
        rows.append((shown.format(number), SEVEN[number % 7]))
    table(folder / "labels.csv", head, rows)


def test_a_table_whose_columns_are_not_known_is_named_and_read_as_told(tmp_path):
    listed(tmp_path, "id,label", "{}")
    with pytest.raises(UserError, match=r"labels\.csv names no column of the image .* has id, label.*path=COLUMN"):
        read_raw(tmp_path)
    assert len(read_raw(tmp_path, columns={"path": "id"})[1].samples) == 14


def test_so_is_one_without_a_line_of_names(tmp_path):
    listed(tmp_path, "images/0.png,angry", "images/{}.png")
    with pytest.raises(UserError, match=r"of the image and label .* has images/0\.png, angry.*write a first line with"):
        read_raw(tmp_path)


def test_pixels_in_a_column_that_is_called_as_paths_are(tmp_path):
    pen = Pen(0)
    rows = [(SEVEN[number % 7], pen.text()) for number in range(14)]
    found = read_raw(table(tmp_path / "faces.csv", "Class,Image", rows))[1]
    assert found.load(found.samples[0]).shape == (48, 48)
    pen.image(tmp_path / "paths" / "0.png")
    rows = [("happy", "0.png"), ("sad", "0.png"), ("sad", pen.text())]
    found = read_raw(table(tmp_path / "paths" / "faces.csv", "Class,Image", rows))[1]
    (fault,) = found.faults  # a row of pixels among paths
    assert "which is no path" in fault.reason
    assert len(fault.reason) < 100


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("faces.rar", b"Rar!\x1a\x07\x00", r"faces\.rar is a RAR archive; unpack it and name what it holds"),
        ("faces.7z", b"7z\xbc\xaf\x27\x1c", r"faces\.7z is a 7z archive; unpack it"),
        ("faces.csv", b"<!DOCTYPE html><html>", r"faces\.csv is a web page, as a download that failed leaves it"),
        ("faces.parquet", b"version https://git-lfs.github.com/spec/v1", r"is a pointer of Git LFS"),
        ("faces.parquet", b"PAR1", r"faces\.parquet: cannot be read as Parquet"),
        ("happy.png", b"\x89PNG", r"happy\.png is a single picture; name the folder that holds those of its classes"),
    ],
)
def test_a_file_that_is_no_dataset_is_told_as_what_it_is(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=told) as caught:
        read_raw(tmp_path / name)
    assert "looked for" not in str(caught.value)


def test_an_archive_in_a_folder_is_pointed_at(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("train/happy/0.png", b"")
    with pytest.raises(UserError, match=r"knows\n  archive\.zip is a zip archive: name it as it is"):
        read_raw(tmp_path)


def test_a_prepared_dataset_is_not_prepared_again(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(UserError, match=r"is prepared already \(dataset\.json\); name it as --data of `fer-"):
        read_raw(tmp_path)
