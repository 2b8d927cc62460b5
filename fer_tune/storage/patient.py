"""A filesystem for Ray Tune that outlasts a store which is away: every call is tried until it gets through.

With the plain filesystem, a store that is away for a minute fails the trials that write a checkpoint in it, and may
end the search (Ray 2.60). Here they wait. What is written goes to a temporary file first and is sent when it is
closed, so that sending can be tried again; what is read is fetched whole for the same reason.

It also asks less of the store than Ray and Arrow do together: a search's one loop would stand still for each answer.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from fer_tune.storage.outage import Result, outage
from fer_tune.storage.place import Place, put, without_folders
from fer_tune.storage.removal import removals

_CHUNK = 8 << 20
_NOT_WRITTEN = ("/result.json", "/progress.csv")  # Ray's own record of a trial, which a search here does without


def patient_filesystem(uri: str) -> Any:
    """Return the filesystem of the store that ``uri`` lies in; it may be sent to other processes and nodes."""
    return fs.PyFileSystem(_Patient(uri))


class _Patient(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """Passes every call on to the store's own filesystem, which each process opens with its own credentials."""

    def __init__(self, uri: str) -> None:
        self._place = Place(uri)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Patient, (self._place.uri,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Patient) and other._place.uri == self._place.uri

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._place.uri)

    def _do(self, call: Callable[[Any], Result]) -> Result:
        return outage.patiently(self._place.uri, lambda: call(self._place.filesystem))

    def get_type_name(self) -> str:
        return "fer-tune"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> Any:
        known = [_known(path) for path in paths]
        if all(known):
            return known
        return self._do(lambda store: store.get_file_info(paths))

    def get_file_info_selector(self, selector: Any) -> Any:
        return self._do(lambda store: store.get_file_info(selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        # Arrow would write an empty object for each folder above a checkpoint, with every checkpoint.
        self._do(lambda store: None if without_folders(store) else store.create_dir(path, recursive=recursive))

    def delete_dir(self, path: str) -> None:
        if removals.take(path):
            removals.add(lambda: self._do(lambda store: store.delete_dir(path)))
        else:
            self._do(lambda store: store.delete_dir(path))

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self._do(lambda store: store.delete_dir_contents(path, missing_dir_ok=missing_dir_ok))

    def delete_root_dir_contents(self) -> None:
        raise PermissionError("the root of a store is nobody's to empty")

    def delete_file(self, path: str) -> None:
        self._do(lambda store: store.delete_file(path))

    def move(self, src: str, dest: str) -> None:
        self._do(lambda store: store.move(src, dest))

    def copy_file(self, src: str, dest: str) -> None:
        self._do(lambda store: store.copy_file(src, dest))

    def open_input_stream(self, path: str) -> Any:
        return self._do(lambda store: _fetched(store, path))

    def open_input_file(self, path: str) -> Any:
        return self._do(lambda store: _fetched(store, path))

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        return pa.PythonFile(_Sent(lambda file: self._do(lambda store: put(store, path, file))), mode="w")

    def open_append_stream(self, path: str, metadata: Any) -> Any:
        raise NotImplementedError("object stores do not append")


def _known(path: str) -> Any:
    """Return what need not be asked, and would hold up Ray's one loop; None for the rest."""
    if removals.take(path):  # Ray asks whether a checkpoint is a folder before it removes it
        return fs.FileInfo(path, fs.FileType.Directory)
    if path.endswith(_NOT_WRITTEN):  # Ray looks for them at the end, one trial after the other
        return fs.FileInfo(path, fs.FileType.NotFound)
    return None


def _fetched(store: Any, path: str) -> Any:
    """Return the content of a file in the store, as a file of this machine that has no name any more."""
    number, name = tempfile.mkstemp(prefix="fer-tune-store-")
    try:
        with store.open_input_stream(path) as source, os.fdopen(number, "wb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        return pa.OSFile(name)
    finally:
        os.unlink(name)


class _Sent:
    """A file to write to; ``send`` gets it when it is closed."""

    def __init__(self, send: Callable[[Path], None]) -> None:
        self._send = send
        number, name = tempfile.mkstemp(prefix="fer-tune-store-")
        self._file, self._name = os.fdopen(number, "wb"), Path(name)

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        if self._file.closed:
            return
        self._file.close()
        try:
            self._send(self._name)
        finally:
            self._name.unlink(missing_ok=True)
