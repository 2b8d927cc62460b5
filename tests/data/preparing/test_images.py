import pytest
from PIL import Image, features
from wild import Pen

from fer_tune.data.preparing.readers.base import UnreadableError
from fer_tune.data.preparing.readers.trees.images import SUFFIXES, decode, images_below


@pytest.mark.parametrize("suffix", [".jfif", ".JPEG", ".webp", ".bmp", ".tiff", ".gif", ".pgm"])
def test_pictures_of_these_kinds_are_found_and_read(tmp_path, suffix):
    kind = {".jfif": "JPEG", ".pgm": "PPM"}.get(suffix)
    file = Pen().image(tmp_path / f"a{suffix}", **({"format": kind} if kind else {}))
    assert images_below(tmp_path)[0] == [file]
    assert decode(file).shape[:2] == (24, 24)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow is built without AVIF")
def test_avif_is_read_where_pillow_reads_it(tmp_path):
    file = Pen().image(tmp_path / "a.avif", channels=3)
    assert ".avif" in SUFFIXES
    assert decode(file).shape == (24, 24, 3)


def test_bytes_are_decoded_as_files_are(tmp_path):
    file = Pen().image(tmp_path / "a.png")
    assert (decode(file.read_bytes()) == decode(file)).all()
    for content, told in ((b"", "empty file"), (b"hello", "not an image")):
        with pytest.raises(UnreadableError, match=told):
            decode(content)


def test_what_a_file_is_instead_of_an_image_is_told(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1")  # as a repository is cloned without its large files
    with pytest.raises(
        UnreadableError, match="not an image, but a pointer of Git LFS, not the file itself; fetch that"
    ):
        decode(file)


def test_orientation_of_grey_and_transparent_pictures(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for mode in ("L", "LA", "RGBA", "P"):
        Image.new(mode, (30, 20)).save(tmp_path / f"{mode}.png", exif=exif)
        assert decode(tmp_path / f"{mode}.png").shape[:2] == (30, 20)
