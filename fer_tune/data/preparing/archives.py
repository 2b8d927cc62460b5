"""Zip and tar archives, unpacked into a folder for as long as they are read; none of their members lands outside it."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from fer_tune.errors import UserError
from fer_tune.filing.first_bytes import told_by_content

_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip")


def is_archive(path: Path) -> bool:
    """Tell whether ``path`` is a file that is named as an archive."""
    return path.is_file() and path.name.lower().endswith(_SUFFIXES)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Yield ``path``, or where it is an archive, a temporary folder of the archive's name with its members.

    Members that are links or devices are left out. Where the archive holds one folder, the readers look into it.

    Raises:
        UserError: it is damaged, encrypted, larger than the disk, or a member would land outside.
    """
    if not is_archive(path):
        yield path
        return
    suffix = next(suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix))
    with tempfile.TemporaryDirectory(prefix="fer-tune-") as temporary:
        folder = Path(temporary, path.name[: -len(suffix)] or "archive")
        folder.mkdir()
        try:
            (_unzip if suffix == ".zip" else _untar)(path, folder)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            told = told_by_content(path)
            if told and not told.startswith(("a zip", "a tar", "compressed")):
                raise UserError(f"{path}: is {told}") from None
            raise UserError(f"{path}: cannot be unpacked: {error}; unpack it yourself and name the folder") from None
        yield folder


def _unzip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _check_space(path, folder, sum(member.file_size for member in members))
        for member in members:
            is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
            if not is_link:
                with archive.open(member) as source:
                    _write(_target(path, folder, member.filename), source)


def _untar(path: Path, folder: Path) -> None:
    with tarfile.open(path) as archive:
        for member in archive:
            source = archive.extractfile(member) if member.isreg() else None
            if source is not None:
                _check_space(path, folder, member.size)
                _write(_target(path, folder, member.name), source)


def _target(path: Path, folder: Path, name: str) -> Path:
    """Return where a member lands.

    Raises:
        UserError: outside of ``folder``.
    """
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or (plain.parts and ":" in plain.parts[0]):
        raise UserError(
            f"{path}: its member {name!r} would land outside the folder it is unpacked into; do not trust it"
        )
    return folder / plain


def _write(target: Path, source: IO[bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _check_space(path: Path, folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"{path}: unpacked it takes {size / 1e9:.1f} GB, but {os.fspath(folder.parent.parent)} has "
            f"{free / 1e9:.1f} GB; unpack it elsewhere, or set TMPDIR"
        )
