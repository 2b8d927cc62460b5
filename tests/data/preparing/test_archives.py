import io
import os
import tarfile
import zipfile

import pytest
from drawing import draw_fer2013_csv, draw_fer2013_folders
from raw_trees import draw_ferg

from fer_tune.data.preparing.archives import unpacked
from fer_tune.errors import UserError


def zipped(path, folder, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def tarred(path, folder, prefix="", mode="w"):
    with tarfile.open(path, mode) as archive:
        archive.add(folder, prefix or ".")
    return path


@pytest.mark.parametrize("prefix", ["", "fer2013/"])
@pytest.mark.parametrize("suffix", ["zip", "ZIP", "tar", "tar.gz", "tgz", "tar.xz"])
def test_an_archive_is_read_as_its_folder(tmp_path, prepared, suffix, prefix):
    folder = draw_fer2013_folders(tmp_path / "fer2013", 4)
    path = tmp_path / f"download.{suffix}"
    if suffix.lower() == "zip":
        zipped(path, folder, prefix)
    else:
        tarred(path, folder, prefix, {"tar": "w", "tar.gz": "w:gz", "tgz": "w:gz", "tar.xz": "w:xz"}[suffix])
    card, splits = prepared(path)
    plain, same = prepared(folder)
    assert card.source == f"fer2013-folders, download.{suffix}"
    assert (card.counts, card.split_hashes) == (plain.counts, plain.split_hashes)
    assert splits["train"].sources == same["train"].sources


def test_a_tree_without_a_name_is_called_after_its_archive(tmp_path, prepared):
    folder = draw_ferg(tmp_path / "f", 2, size=16)
    for character in list(folder.iterdir()):
        for emotion in list(character.iterdir()):
            emotion.rename(character / emotion.name.split("_")[1])
    assert prepared(zipped(tmp_path / "my faces.zip", folder))[0].name == "my faces"


def test_a_zipped_csv(tmp_path, prepared):
    draw_fer2013_csv(tmp_path / "x" / "fer2013.csv", 2)
    assert prepared(zipped(tmp_path / "fer.zip", tmp_path / "x"))[0].name == "fer2013"


@pytest.mark.parametrize("name", ["../evil.png", "/tmp/evil.png", "a/../../evil.png", "..\\evil.png", "C:\\evil.png"])
def test_members_that_would_land_outside_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(name, "x")
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    for path in (tmp_path / "bad.zip", tmp_path / "bad.tar"):
        with pytest.raises(UserError, match=r"bad\.\w+: its member .* would land outside"), unpacked(path):
            pass
    assert not list(tmp_path.rglob("evil.png"))


def test_links_are_not_unpacked(tmp_path):
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        link = tarfile.TarInfo("happy")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    link = zipfile.ZipInfo("sad")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as archive:
        archive.writestr(link, "/etc")
    for name in ("links.tar", "links.zip"):
        with unpacked(tmp_path / name) as folder:
            assert os.listdir(folder) == []


@pytest.mark.parametrize("name", ["broken.zip", "broken.tar.gz"])
def test_damaged_archives_are_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(UserError, match=rf"{name}: cannot be unpacked"), unpacked(tmp_path / name):
        pass


def test_half_an_archive_and_a_page_instead_of_one_are_named(tmp_path):
    whole = zipped(tmp_path / "a.zip", draw_fer2013_folders(tmp_path / "a", 1))
    whole.write_bytes(whole.read_bytes()[:900])
    (tmp_path / "b.zip").write_text("<html>Too many users have viewed this file</html>")
    for name, told in (("a.zip", "is the beginning of a zip file, whose end is missing"), ("b.zip", "is a web page")):
        with pytest.raises(UserError, match=f"{name}: {told}"), unpacked(tmp_path / name):
            pass


def test_nothing_is_left_of_an_archive(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    path = zipped(tmp_path / "a.zip", draw_fer2013_folders(tmp_path / "a", 1))
    with unpacked(path) as folder:
        assert folder.is_relative_to(tmp_path / "temporary")
    assert list((tmp_path / "temporary").iterdir()) == []
