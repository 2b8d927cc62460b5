"""Run folders by their address: opened, kept in step with their store while a command works, found on demand.

An address, which is a folder, a URI, or the local copy of a run in a store, is understood by `open_run` and `new_run`
alone. What they return knows its store, and everything else here takes that.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from fer_tune.amounts import amount
from fer_tune.errors import UserError
from fer_tune.filing.uris import as_uri, below, local_path
from fer_tune.run_folder import RunFolder
from fer_tune.storage.mirror import Mirror, Wanted, everything, small, uri_of_copy
from fer_tune.storage.outage import PATIENCE, outage
from fer_tune.storage.place import Place
from fer_tune.storage.removal import removals

_EVERY = 5.0  # seconds between two looks for what has changed here
_SLOW = 12  # looks between two at the W&B folder, where small files grow all the time
_AT_END = 60.0  # seconds that the end of a command waits for a store that is away

_kept: dict[str, Mirror] = {}  # URI -> the mirror that a thread of this process keeps in step


def open_run(address: str | Path, wanted: Wanted = small) -> RunFolder:
    """Open the run at ``address``: a folder, a URI, or the local copy of one.

    Of a URI, what has changed there is brought here first, the large files left out (see `needed`).

    Raises:
        UserError: there is none, or the store cannot be reached.
    """
    uri = as_uri(address)
    folder = Path() if uri else local_path(address).expanduser()
    uri = uri or uri_of_copy(folder)
    if not uri:
        return RunFolder.open(folder)
    mirror = _mirror(uri)
    if uri not in _kept or wanted is not small:
        with _reached(uri):
            if not mirror.exists() and not (mirror.folder / "search.yaml").is_file():
                raise UserError(f"{uri}: no run there: no search.yaml; name one that `fer-tune search` made")
            mirror.pull(wanted)
    return replace(RunFolder.open(mirror.folder), uri=uri)


def new_run(storage: str | Path, name: str) -> RunFolder:
    """Return a new run ``name``, not made yet, in ``storage``: a folder, or the URI of one.

    Raises:
        UserError: the storage cannot be reached or written, there is a run of that name, or one that began here and
            was never sent.
    """
    uri = as_uri(storage)
    if not uri:
        return _new_here(storage, name)
    mirror = Mirror(below(uri, name))
    with _reached(mirror.uri):
        if mirror.exists():
            raise _taken(uri, name, mirror.uri)
        check_writable(uri)
    if (mirror.folder / "search.yaml").is_file() and mirror.unsent():
        raise UserError(
            f"run {name} began on this machine and has not reached {uri} yet: `fer-tune resume {mirror.uri}` goes "
            "on with it, or choose another --name"
        )
    shutil.rmtree(mirror.home, ignore_errors=True)  # of a run that was removed from the store
    mirror.begin()
    return RunFolder(mirror.folder, mirror.uri)


def _new_here(storage: str | Path, name: str) -> RunFolder:
    folder = local_path(storage).expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder)
    except OSError as error:
        raise UserError(f"--storage {storage}: not writable ({error.strerror}); choose another") from None
    if (folder / name).exists():
        raise _taken(storage, name, f"{storage}/{name}")
    return RunFolder(folder / name)


def check_writes(run: RunFolder) -> None:
    """See that the folder of a run can be written, before a command computes what it keeps there.

    Raises:
        UserError: it cannot, as where it is somebody else's, or on a disk that is read-only.
    """
    try:
        _write(run.path)
    except OSError as error:
        raise UserError(
            f"{run.place}: cannot be written ({error.strerror}), and what this command finds is kept there; copy the "
            "run to a folder that you may write to, and name the copy"
        ) from None


def _write(folder: Path) -> None:
    probe = folder / f".writable-{os.getpid()}"
    probe.touch()
    probe.unlink()


def _taken(storage: str | Path, name: str, place: str) -> UserError:
    again = f"`fer-tune resume {shlex.quote(place)}`"
    return UserError(f"run {name} exists in {storage}: go on with it by {again}, or choose another --name")


@contextmanager
def kept(run: RunFolder, when_lost: Callable[[], None] | None = None) -> Iterator[None]:
    """Keep a run of a store in step while the block works on its local copy; of a plain folder, do nothing.

    Changes are sent every few seconds and at the end. Where the store is away, one warning says so, and what is not
    sent at the end stays in the local copy: the next command on this run sends it.

    Args:
        run: from `open_run` or `new_run`.
        when_lost: called when the store has been away for two thirds of `PATIENCE`: later, trials begin to fail.
    """
    if not run.uri or run.uri in _kept:
        yield
        return
    mirror = Mirror(run.uri)
    outage.calm()
    removals.begin()
    mirror.look()
    _kept[mirror.uri] = mirror
    ended = threading.Event()
    thread = threading.Thread(
        target=_keep, args=(mirror, ended, when_lost), name=f"fer-tune-{mirror.folder.name}", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_AT_END)
        _send_the_rest(mirror)
        left = removals.end(0.0 if outage.seconds else _AT_END)
        if left:
            print(f"{mirror.uri}: {left} old checkpoints are still there; they cost room alone", file=sys.stderr)
        del _kept[mirror.uri]


def _keep(mirror: Mirror, ended: threading.Event, when_lost: Callable[[], None] | None) -> None:
    looks, told = 0, False
    while True:
        outage.once(mirror.uri, partial(mirror.push, _without_wandb if looks % _SLOW else everything))
        looks += 1
        if when_lost is not None and not told and outage.seconds > PATIENCE * 2 / 3:
            told = True
            print(f"{mirror.uri}: away for too long; the search stops, ready to be resumed", file=sys.stderr)
            outage.hurry()
            when_lost()
        if ended.wait(_EVERY):
            return


def _without_wandb(name: str) -> bool:
    return not name.startswith("wandb/")


def _send_the_rest(mirror: Mirror) -> None:
    try:
        outage.patiently(mirror.uri, mirror.push, _AT_END / 6 if outage.hurried else _AT_END)
    except OSError:
        left = len(mirror.unsent())
        print(
            f"{mirror.uri}: still away, and {amount(left, 'file')} not there yet: what is missing is kept in "
            f"{mirror.folder}, and the next command on this run sends it",
            file=sys.stderr,
        )


def refreshed(run: RunFolder, folder: Path) -> None:
    """Bring what has changed in the store below ``folder`` of ``run``; a plain folder is what it is.

    Raises:
        UserError: the store cannot be reached.
    """
    if run.uri:
        mirror, under = _mirror(run.uri), folder.relative_to(run.path).as_posix()
        with _reached(run.uri):
            outage.patiently(run.uri, lambda: mirror.pull(small, under))


@contextmanager
def working_copy(uri: str) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Yield a copy, on this node, of a folder in a store, with all that is in it, and a function that sends it back.

    Where the store is away, sending is left to the next call; at the end it is waited for. The copy is then removed.
    After an error in the block it stays, for another try on this node.

    Raises:
        OSError: the store was away for longer than `PATIENCE`.
    """
    mirror = Mirror(uri)
    outage.patiently(uri, lambda: mirror.pull(everything))
    mirror.folder.mkdir(parents=True, exist_ok=True)

    yield mirror.folder, lambda: outage.once(uri, mirror.push)
    outage.patiently(uri, mirror.push)
    mirror.drop()


def needed(run: RunFolder, file: Path) -> Path:
    """Return ``file`` of ``run``, brought from its store where it is not here yet.

    Raises:
        UserError: the store cannot be reached.
    """
    if run.uri and not file.is_file():
        mirror, name = _mirror(run.uri), file.relative_to(run.path).as_posix()
        with _reached(run.uri):
            outage.patiently(run.uri, lambda: mirror.fetch(name))
    return file


def tune_storage(run: RunFolder) -> dict[str, Any]:
    """Return Ray Tune's ``storage_path`` and ``storage_filesystem`` for ``run``."""
    if not run.uri:
        return {"storage_path": str(run.path)}
    from fer_tune.storage.patient import patient_filesystem

    return {"storage_path": Place(run.uri).path, "storage_filesystem": patient_filesystem(run.uri)}


def check_writable(storage: str) -> None:
    """Write a small file below ``storage`` and remove it.

    Raises:
        OSError: it cannot be written.
    """
    place = Place(storage)
    path = f"{place.path}/.writable-{uuid.uuid4().hex}"
    with place.filesystem.open_output_stream(path) as stream:
        stream.write(b"fer-tune")
    place.filesystem.delete_file(path)


@contextmanager
def _reached(uri: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"{uri}: cannot be reached: {reason}; are the address, the credentials (for S3: AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL) and the bucket right?"
        ) from None


def _mirror(uri: str) -> Mirror:
    return _kept.get(uri) or Mirror(uri)
