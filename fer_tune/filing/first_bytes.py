"""What a file is, whatever its name says: told by its first bytes."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

_HEAD = 512  # bytes: a tar's mark stands at 257, a page's tag behind some spaces

_UNPACK = "unpack it and name what it holds"
_AGAIN = "download or save it again"
_KINDS = {  # first bytes -> what such a file is, and what to do with it
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras and Matlab write them",
    b"Rar!\x1a\x07": f"a RAR archive; {_UNPACK}",
    b"7z\xbc\xaf\x27\x1c": f"a 7z archive; {_UNPACK}",
    b"\x1f\x8b": f"compressed by gzip; {_UNPACK}",
    b"BZh": f"compressed by bzip2; {_UNPACK}",
    b"\xfd7zXZ": f"compressed by xz; {_UNPACK}",
    b"\x28\xb5\x2f\xfd": f"compressed by zstd; {_UNPACK}",
    b"\x93NUMPY": "a single array of numpy",
    b"%PDF": "a PDF document",
}
_PAGES = (b"<!doctype html", b"<html", b"<head")


def told_by_content(file: Path) -> str:
    """Return what a file is by its first bytes, with what to do about it; empty where they say nothing of use here.

    Raises:
        OSError: it cannot be read.

    >>> import tempfile
    >>> page = Path(tempfile.mkdtemp(), "faces.zip")
    >>> _ = page.write_text("<!DOCTYPE html><title>Quota exceeded</title>")
    >>> told_by_content(page)
    'a web page, as a download that failed leaves it; download or save it again'
    """
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    if not head:
        return f"an empty file (0 bytes); {_AGAIN}"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES):
        return f"a web page, as a download that failed leaves it; {_AGAIN}"
    if head.lstrip().startswith((b"<?xml", b"<Error")):
        return f"an XML text, as a store leaves that refuses a download; {_AGAIN}"
    if head.startswith(b"PK\x03\x04"):
        if not zipfile.is_zipfile(file):
            return f"the beginning of a zip file, whose end is missing; {_AGAIN}"
        return f"a zip archive; {_UNPACK}"
    if tarfile.is_tarfile(file):
        return f"a tar archive; {_UNPACK}"
    return next((told for start, told in _KINDS.items() if head.startswith(start)), "")
