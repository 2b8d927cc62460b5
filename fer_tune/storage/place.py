"""A folder in an object store: its files listed, read, and replaced whole."""

from __future__ import annotations

import ctypes
import os
import shutil
import uuid
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pyarrow import fs

from fer_tune.data.prepared.remote import filesystem_of
from fer_tune.errors import UserError
from fer_tune.filing.files import replacing

_CHUNK = 8 << 20  # bytes copied at once
_AT_ONCE = 64 << 20  # bytes of a file that is read before any of it is sent
_GROWING = (".journal", ".jsonl")  # a line at a time is appended to them
_ATTEMPTS = 3  # of one request, 2 s in the mean: then `outage` waits, which says so and can be hurried
_OBJECTS = ("s3", "gcs", "abfs")  # of their filesystems: see `without_folders`


class Stat(NamedTuple):
    """What tells one content of a file from another."""

    size: int  # bytes
    mtime: int | None  # nanoseconds since 1970; None where the store does not say


class Place:
    """The folder at ``uri``; nothing is asked of the store before it is needed.

    Every method raises OSError where the store cannot be reached, and UserError where nothing here reads its scheme.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        try:
            opened, path = filesystem_of(self.uri, _ATTEMPTS)
        except UserError as error:
            if isinstance(error.__context__, OSError):  # the store is away: to be tried again
                raise error.__context__ from None
            raise
        return opened, path.rstrip("/")

    @property
    def filesystem(self) -> Any:
        """The filesystem of the store."""
        return self._opened[0]

    @property
    def path(self) -> str:
        """The folder's path in `filesystem`."""
        return self._opened[1]

    def listing(self, under: str = "", without: tuple[str, ...] = ()) -> dict[str, Stat]:
        """Return the files by their names in the folder, hidden ones left out.

        Args:
            under: list this folder in it alone.
            without: first-level folders that are not looked into.
        """
        found: dict[str, Stat] = {}
        for info in self._infos(f"{self.path}/{under}" if under else self.path, recursive=bool(under)):
            name = info.path.removeprefix(self.path).strip("/")
            if info.type == fs.FileType.File:
                found[name] = _stat(info)
            elif info.type == fs.FileType.Directory and not under and name not in without:
                found |= self.listing(name)
        return {name: stat for name, stat in found.items() if not hidden(name)}

    def _infos(self, path: str, *, recursive: bool) -> list[Any]:
        selector = fs.FileSelector(path, allow_not_found=True, recursive=recursive)
        found: list[Any] = self.filesystem.get_file_info(selector)
        return found

    def stat(self, name: str) -> Stat | None:
        """Return the size and the time of one file; None where there is none."""
        info = self.filesystem.get_file_info(f"{self.path}/{name}")
        return _stat(info) if info.type == fs.FileType.File else None

    def get(self, name: str, target: Path, mtime: int | None = None) -> None:
        """Copy a file to ``target``, whole or not at all.

        Raises:
            FileNotFoundError: it is not there.
        """
        with replacing(target) as temporary:
            with self.filesystem.open_input_stream(f"{self.path}/{name}") as source, temporary.open("wb") as local:
                shutil.copyfileobj(source, local, _CHUNK)
            if mtime is not None:
                os.utime(temporary, ns=(mtime, mtime))

    def put(self, name: str, source: Path) -> None:
        """Copy ``source`` into the store; readers see the old content or the new one, never a part.

        Of a file that lines are appended to, whole lines are copied.

        Raises:
            FileNotFoundError: ``source`` is gone.
        """
        put(self.filesystem, f"{self.path}/{name}", source)

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(f"{self.path}/{name}")


def put(store: Any, path: str, source: Path) -> None:
    """Copy the file ``source`` to ``path`` of the filesystem ``store``, whole or not at all; see `Place.put`."""
    if without_folders(store):
        _write(store, path, source)
        return
    folder, _, name = path.rpartition("/")
    part = f"{folder}/.{name}.{uuid.uuid4().hex}"
    store.create_dir(folder, recursive=True)
    try:
        _write(store, part, source)
        if store.get_file_info(path).type == fs.FileType.File:
            store.delete_file(path)
        store.move(part, path)
    except BaseException:
        if store.get_file_info(part).type == fs.FileType.File:
            store.delete_file(part)
        raise


def without_folders(store: Any) -> bool:
    """Tell whether the filesystem ``store`` is one of objects.

    An object appears when its last byte has come and not before, and it needs no folder: its name alone has slashes.
    """
    return store.type_name in _OBJECTS


def _write(store: Any, path: str, source: Path) -> None:
    with source.open("rb") as local:
        left = os.fstat(local.fileno()).st_size
        first = local.read(min(left, _AT_ONCE))
        if source.suffix in _GROWING:
            first += local.read()
            first, left = first[: first.rfind(b"\n") + 1], 0
        left -= len(first)
        stream = store.open_output_stream(path)
        try:
            stream.write(first)
            while left > 0:
                chunk = local.read(min(left, _CHUNK))
                if not chunk:
                    raise OSError(f"{source}: cut short while it was copied")
                left -= len(chunk)
                stream.write(chunk)
        except BaseException:
            # Closing it, as its destruction does too, would complete the upload with what has come so far (Arrow 26).
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(stream))
            raise
        stream.close()


def hidden(name: str) -> bool:
    """Tell whether a file or a folder above it is hidden: half-written files are."""
    return any(part.startswith(".") for part in name.split("/"))


def _stat(info: Any) -> Stat:
    return Stat(info.size or 0, info.mtime_ns)
