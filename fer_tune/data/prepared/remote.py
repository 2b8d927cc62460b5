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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from fer_tune.data.prepared.card import CARD_FILE, LOOKED_FOR, SPLITS, DatasetCard, parse_card, read_card, split_file
from fer_tune.errors import UserError
from fer_tune.filing.uris import below, parted

_CHUNK = 8 << 20  # bytes copied at once
_ATTEMPTS = 5  # of one request to S3, 7 s in the mean
_SECONDS = 5.0  # that one request to Google's storage is tried

Verify = Callable[[Path, DatasetCard], None]


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
            cache is full.
    """
    uri, wanted = parted(uri)
    if wanted and (kept := _kept(wanted)):
        return kept
    filesystem, path = filesystem_of(uri)
    with reached(uri):
        try:
            with filesystem.open_input_stream(f"{path}/{CARD_FILE}") as stream:
                content = stream.read()
        except FileNotFoundError:
            raise UserError(f"{uri}: no {CARD_FILE} there; {LOOKED_FOR}, and copy DIR there") from None
    card = parse_card(content, below(uri, CARD_FILE))
    if wanted and card.content_hash != wanted:
        raise UserError(f"{uri}: its content was replaced since this run began; put the same dataset there again")
    cache = cache_folder()
    folder = cache / f"{re.sub(r'[^A-Za-z0-9._-]', '_', card.name)}-{card.content_hash[:16]}"
    # The lock is let go of by the system too, when a process dies.
    with writable(cache, uri), FileLock(cache / f".{folder.name}.lock"):
        if not _is_whole(folder, card):
            _fetch(filesystem, path, uri, card, content, folder, verify)
    return folder


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
            file = below(uri, name)
            with reached(file):
                source = filesystem.open_input_stream(f"{path}/{name}")
            with source, (hidden / name).open("wb") as target:
                target.writelines(chunks(source, file))
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


@contextmanager
def reached(uri: str) -> Iterator[None]:
    """Tell what is not there, and a store that cannot be reached, or no longer, as a UserError."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{uri}: cannot be read: {error}; copy it there again") from None
    except OSError as error:
        raise UserError(f"{uri}: cannot be reached: {error}") from None


@contextmanager
def writable(cache: Path, uri: str) -> Iterator[None]:
    """Make the folder ``cache``; tell of a full disk, or no right to write, while ``uri`` is fetched into it."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"{cache}: {uri} cannot be kept there: {error.strerror or error}; free some space, or name another folder "
            "in FER_TUNE_CACHE"
        ) from None


def chunks(source: Any, uri: str) -> Iterator[bytes]:
    """Yield what the open file ``source`` of the store holds; a lost connection is not taken for a full disk."""
    while True:
        with reached(uri):
            chunk: bytes = source.read(_CHUNK)
        if not chunk:
            return
        yield chunk


def filesystem_of(uri: str, attempts: int = _ATTEMPTS) -> tuple[Any, str]:
    """Return the path that ``uri`` names, after its pyarrow filesystem, which itself bridges faults of some seconds.

    Args:
        uri: where.
        attempts: of one request to S3, with random pauses that grow.

    Raises:
        UserError: the store cannot be reached, or nothing here reads the scheme.
    """
    from pyarrow import fs

    try:
        filesystem, path = fs.FileSystem.from_uri(uri)
        return _trying_again(filesystem, attempts), path
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


def _trying_again(filesystem: Any, attempts: int) -> Any:
    """Have Arrow bridge short faults, such as a connection that is cut or a store that is busy, and no long ones.

    As a URI alone opens it, Google's storage is tried for 15 minutes, without a word and whoever asks for the end, and
    S3 five times a second, which is no help to a store that many nodes ask at once (Arrow 26).
    """
    from pyarrow import fs

    if filesystem.type_name not in ("s3", "gcs"):
        return filesystem
    make, (settings,) = filesystem.__reduce__()  # the one way to the settings that the URI and the environment gave
    if filesystem.type_name == "gcs":
        return make({**settings, "retry_time_limit": settings["retry_time_limit"] or timedelta(seconds=_SECONDS)})
    return make(
        {
            **settings,
            "retry_strategy": fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
            # Ray copies files on Arrow's own threads. Writes in the background would wait for one of the same threads,
            # for ever once all of them wait (apache/arrow#32372).
            "background_writes": False,
            "allow_delayed_open": True,  # a small file is one request instead of three
        }
    )
