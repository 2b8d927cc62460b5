"""Single files behind a URI, such as starting weights: each machine fetches a content once into its local cache.

The cache is that of `remote`, in its folder ``files``; a file is named after its content's SHA-256.
``URI#HASH`` stands for that content alone: it is taken from the cache without a look at the network, and another
content is refused.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

from fer_tune.data.prepared import remote
from fer_tune.errors import UserError
from fer_tune.filing.uris import below as uri_below
from fer_tune.filing.uris import last_name, parted, pinned


class RemoteFolder:
    """What lies at a URI; its methods raise a UserError where the store cannot be reached.

    Raises:
        UserError: nothing here reads the scheme.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._filesystem, path = remote.filesystem_of(uri)
        self._path = path.rstrip("/")

    def is_file(self, name: str = "") -> bool:
        """Tell whether the URI itself, or ``name`` below it, is a file."""
        return bool(self._info(name).is_file)

    def names(self, below: str = "") -> list[str]:
        """Return the names of the files in the folder; with ``below``, of all files in and under that folder of it."""
        from pyarrow import fs

        selector = fs.FileSelector(self._at(below), allow_not_found=True, recursive=bool(below))
        with remote.reached(self.uri):
            infos = self._filesystem.get_file_info(selector)
        return [info.path.removeprefix(self._path).lstrip("/") for info in infos if info.is_file]

    def read(self, name: str) -> bytes:
        """Return what a file below the URI holds."""
        with remote.reached(self.uri), self._filesystem.open_input_stream(self._at(name)) as stream:
            content: bytes = stream.read()
        return content

    def fetch(self, name: str = "") -> tuple[Path, str]:
        """Return a local copy of the URI's file, or of ``name`` below it, and the pinned URI that stands for it.

        A file of which size and time are those of one that was fetched before is not fetched again.
        """
        uri = uri_below(self.uri, name)
        info = self._info(name)
        seen = _cache() / f".{_digest(f'{uri} {info.size} {info.mtime_ns}')}"
        with remote.writable(_cache(), uri), FileLock(f"{seen}.lock"):
            known = seen.read_text(encoding="utf-8") if info.mtime_ns is not None and seen.is_file() else ""
            file = kept(known) if known else None
            if file is None:
                file, known = self._copied(name, last_name(uri))
                seen.write_text(known, encoding="utf-8")
        return file, pinned(uri, known)

    def _copied(self, name: str, plain: str) -> tuple[Path, str]:
        """Copy a file into the cache; return it and its SHA-256."""
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=_cache(), prefix=".", delete=False) as target:
            hidden = Path(target.name)
            try:
                with remote.reached(self.uri):
                    source = self._filesystem.open_input_stream(self._at(name))
                with source:
                    for chunk in remote.chunks(source, self.uri):
                        digest.update(chunk)
                        target.write(chunk)
                hidden.chmod(0o644)  # it was made private
                target.flush()
                return hidden.rename(_cache() / f"{digest.hexdigest()}-{plain}"), digest.hexdigest()
            finally:
                hidden.unlink(missing_ok=True)

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def _info(self, name: str) -> Any:
        with remote.reached(self.uri):
            return self._filesystem.get_file_info(self._at(name))


def kept(content_hash: str) -> Path | None:
    """Return the file of the cache with that content, if there is one."""
    return next(_cache().glob(f"{content_hash}-*"), None)


def fetched(uri: str) -> Path:
    """Return a local copy of the file at a URI, which may be pinned.

    Raises:
        UserError: it is not there or cannot be reached, or its content is not the pinned one any more.
    """
    uri, wanted = parted(uri)
    if wanted and (file := kept(wanted)):
        return file
    place = RemoteFolder(uri)
    if not place.is_file():
        raise UserError(f"{uri}: no such file")
    file, found = place.fetch()
    if wanted and parted(found)[1] != wanted:
        raise UserError(f"{uri}: its content was replaced since this run began; put the same file there again")
    return file


def _cache() -> Path:
    return remote.cache_folder() / "files"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
