"""Prepared datasets behind a URI: each machine fetches one once into a local cache, and every process maps it there.

``s3://``, ``gs://``, ``abfss://`` and ``hdfs://`` are read by pyarrow, anything else by fsspec where its package is
installed. The cache is ``$FER_TUNE_CACHE``, else ``~/.cache/fer_tune`` (or below ``$XDG_CACHE_HOME``); a dataset's
folder in it is named after its content hash, so that another content is another folder. Delete it to free the space.

``URI#HASH`` with the content hash stands for exactly that content: it is taken from the cache without a look at the
network, and another content is refused. So the trials of a search all read the same, and outlive a lost connection.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from fer_tune.data.prepared.card import CARD_FILE, LOOKED_FOR, SPLITS, DatasetCard, parse_card, read_card, split_file
from fer_tune.errors import UserError

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)")  # pathlib makes s3:/bucket of s3://bucket
_PINNED = re.compile(r"(.+)#([0-9a-f]{64})")
_CHUNK = 8 << 20  # bytes copied at once

Verify = Callable[[Path, DatasetCard], None]


def as_uri(text: str) -> str:
    """Return the URI that ``text`` is, or an empty string where it is a path on this machine.

    >>> as_uri("s3:/bucket/fer2013"), as_uri("data/fer2013"), as_uri("file:///data/fer2013")
    ('s3://bucket/fer2013', '', '')
    """
    match = _URI.fullmatch(text)
    if match is None or match[1].lower() == "file":
        return ""
    return (text if "://" in text else f"{match[1]}://{match[2]}").rstrip("/")


def without_file_scheme(text: str) -> str:
    """Return the path that ``file:///path`` or ``path`` names."""
    match = _URI.fullmatch(text)
    return text if match is None else f"/{match[2]}"


def refuse_password(uri: str) -> None:
    """Raise a UserError if a password stands in ``uri``: it would end in files and on screens."""
    scheme, _, rest = uri.partition("://")
    user, _, host = rest.partition("/")[0].rpartition("@")
    if ":" in user:
        raise UserError(
            f"{scheme}://...@{host}: leave user and password out of the URI, which is kept in files; name them in the "
            "environment, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )


def pinned(uri: str, content_hash: str) -> str:
    """Return the URI that stands for the content of that hash alone."""
    return f"{parted(uri)[0]}#{content_hash}"


def cache_folder() -> Path:
    """Return the folder of the cache on this machine."""
    if chosen := os.environ.get("FER_TUNE_CACHE"):
        return Path(chosen).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fer_tune"


def fetch(uri: str, verify: Verify) -> Path:
    """Return the local folder of the prepared dataset at ``uri``, fetched if it is not there yet.

    The card is read anew every time unless the URI is pinned, so that a dataset that was replaced is noticed.
    Processes of a machine wait for the one that fetches. What is fetched is compared with the hashes of the card
    before it gets its name in the cache.

    Args:
        uri: of the folder with ``dataset.json``.
        verify: compares the fetched files with the card; raises a UserError where they differ.

    Raises:
        UserError: it cannot be reached or read, is no prepared dataset, a damaged one or not the pinned one, or the
            cache is full, or a password stands in the URI.
    """
    refuse_password(uri)
    uri, wanted = parted(uri)
    if wanted and (kept := _kept(wanted)):
        return kept
    filesystem, path = filesystem_of(uri)
    try:
        with filesystem.open_input_stream(f"{path}/{CARD_FILE}") as stream:
            content = stream.read()
    except FileNotFoundError:
        raise UserError(f"{uri}: no {CARD_FILE} there; {LOOKED_FOR}, and copy DIR there") from None
    except OSError as error:
        raise UserError(f"{uri}: cannot be read: {error}") from None
    card = parse_card(content, f"{uri}/{CARD_FILE}")
    if wanted and card.content_hash != wanted:
        raise UserError(f"{uri}: its content was replaced since this run began; put the same dataset there again")
    cache = cache_folder()
    folder = cache / f"{re.sub(r'[^A-Za-z0-9._-]', '_', card.name)}-{card.content_hash[:16]}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{folder.name}.lock"):  # let go of by the system too, when a process dies
            if not _is_whole(folder, card):
                _fetch(filesystem, path, uri, card, content, folder, verify)
    except OSError as error:
        raise UserError(
            f"{cache}: {uri} cannot be kept there: {error.strerror or error}; free some space, or name another folder "
            "in FER_TUNE_CACHE"
        ) from None
    return folder


def parted(uri: str) -> tuple[str, str]:
    """Return the URI and the content hash it is pinned to, or an empty string."""
    match = _PINNED.fullmatch(uri)
    return (match[1], match[2]) if match else (uri, "")


def _kept(content_hash: str) -> Path | None:
    """Return the folder of the cache with that content, if there is one."""
    for folder in cache_folder().glob(f"*-{content_hash[:16]}"):
        try:
            card = read_card(folder)
        except UserError:
            continue
        if card.content_hash == content_hash and _is_whole(folder, card):
            return folder
    return None


def _fetch(
    filesystem: Any, path: str, uri: str, card: DatasetCard, content: bytes, folder: Path, verify: Verify
) -> None:
    """Copy the dataset into a hidden folder, verify it and give it its name."""
    hidden = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name in map(split_file, SPLITS):
            try:
                source = filesystem.open_input_stream(f"{path}/{name}")
            except OSError as error:
                raise UserError(f"{uri}/{name}: cannot be read: {error}; copy the dataset there again") from None
            with source, (hidden / name).open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK)
        (hidden / CARD_FILE).write_bytes(content)
        try:
            verify(hidden, card)
        except UserError as error:
            raise UserError(f"{uri}: what was fetched is damaged, or was replaced meanwhile: {error}") from None
        hidden.chmod(0o755)  # mkdtemp makes it private
        shutil.rmtree(folder, ignore_errors=True)  # a damaged one; who has mapped it keeps its pages
        hidden.rename(folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _is_whole(folder: Path, card: DatasetCard) -> bool:
    """Tell whether the cache has the dataset, with files of the right size; their content was verified when fetched."""
    try:
        if (folder / CARD_FILE).stat().st_size == 0:
            return False
        return all((folder / split_file(split)).stat().st_size == card.split_bytes[split] for split in SPLITS)
    except (FileNotFoundError, KeyError):
        return False


def filesystem_of(uri: str) -> tuple[Any, str]:
    """Return a pyarrow filesystem, and the path in it that ``uri`` names."""
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
        return filesystem, path
    except pa.ArrowInvalid:  # a scheme that pyarrow does not know
        pass
    except OSError as error:
        raise UserError(f"{uri}: cannot be reached: {error}") from None
    scheme = uri.partition(":")[0]
    try:
        import fsspec  # type: ignore[import-untyped]  # no types of its own

        other, path = fsspec.core.url_to_fs(uri)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"{uri}: nothing here reads {scheme}:// ({error}); s3, gs, abfss and hdfs work as they are, others need "
            "fsspec and its package for them"
        ) from None
    return fs.PyFileSystem(fs.FSSpecHandler(other)), path
