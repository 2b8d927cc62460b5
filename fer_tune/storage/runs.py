"""Run folders by a path or a URI: opened, kept in step with their store while a command works, found on demand."""

from __future__ import annotations

import shutil
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.storage.mirror import Mirror, Wanted, everything, mirror_of, small
from fer_tune.storage.outage import PATIENCE, outage
from fer_tune.storage.place import Place
from fer_tune.storage.removal import removals
from fer_tune.storage.uris import below, local_path, run_uri

_EVERY = 5.0  # seconds between two looks for what has changed here
_SLOW = 12  # looks between two at the W&B folder, where small files grow all the time
_AT_END = 60.0  # seconds that the end of a command waits for a store that is away

_kept: dict[str, Mirror] = {}  # URI -> the mirror that a thread of this process keeps in step


def open_run(path: str | Path, wanted: Wanted = small) -> RunFolder:
    """Open the run at ``path``: a folder, a URI, or the local copy of one.

    Of a URI, what has changed there is brought here first, the large files left out (see `needed`).

    Raises:
        UserError: there is none, or the store cannot be reached.
    """
    mirror = _mirror(path)
    if mirror is None:
        return RunFolder.open(local_path(path))
    if mirror.uri not in _kept or wanted is not small:
        with _reached(mirror.uri):
            if not mirror.exists() and not (mirror.folder / "search.yaml").is_file():
                raise UserError(f"{mirror.uri}: no run there: no search.yaml; name one that `fer-tune search` made")
            mirror.pull(wanted)
    return RunFolder.open(mirror.folder)


@contextmanager
def kept(path: str | Path, when_lost: Callable[[], None] | None = None) -> Iterator[None]:
    """Keep a run of a store in step while the block works on its local copy; of a plain folder, do nothing.

    Changes are sent every few seconds and at the end. Where the store is away, one warning says so, and what is not
    sent at the end stays in the local copy: the next command on this run sends it.

    Args:
        path: a folder, a URI, or the local copy of one, which must be open (`open_run`) or new (`new_run`).
        when_lost: called when the store has been away for two thirds of `PATIENCE`: later, trials begin to fail.
    """
    mirror = _mirror(path)
    if mirror is None or mirror.uri in _kept:
        yield
        return
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
        quick = looks % _SLOW != 0
        try:
            mirror.push(_without_wandb if quick else everything)
            outage.reached(mirror.uri)
        except OSError as error:
            outage.failed(mirror.uri, error)
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
    end, delay = time.monotonic() + (_AT_END / 6 if outage.hurried else _AT_END), 0.5
    while True:
        try:
            mirror.push()
            outage.reached(mirror.uri)
            return
        except OSError as error:
            outage.failed(mirror.uri, error)
            if time.monotonic() + delay > end:
                break
        time.sleep(delay)
        delay = min(2 * delay, 10.0)
    left = len(mirror.unsent())
    print(
        f"{mirror.uri}: still away; {left} files are not there yet. They are kept in {mirror.folder}, and the next "
        "command on this run sends them",
        file=sys.stderr,
    )


def refreshed(folder: Path) -> None:
    """Bring what has changed in the store below ``folder``, a run's or one in it; a plain folder is what it is.

    Raises:
        UserError: the store cannot be reached.
    """
    found = mirror_of(folder)
    if found is not None:
        mirror, under = _kept.get(found[0].uri, found[0]), found[1]
        with _reached(mirror.uri):
            outage.patiently(mirror.uri, lambda: mirror.pull(small, under))


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

    def send() -> None:
        try:
            mirror.push()
        except OSError as error:
            outage.failed(uri, error)
        else:
            outage.reached(uri)

    yield mirror.folder, send
    outage.patiently(uri, mirror.push)
    mirror.drop()


def needed(file: Path) -> Path:
    """Return ``file`` of a run folder, brought from the run's store where it is not here yet.

    Raises:
        UserError: the store cannot be reached.
    """
    found = None if file.is_file() else mirror_of(file)
    if found is not None:
        mirror, name = found
        with _reached(mirror.uri):
            outage.patiently(mirror.uri, lambda: _kept.get(mirror.uri, mirror).fetch(name))
    return file


def uri_of(path: str | Path) -> str:
    """Return the URI of the run at ``path``, itself a URI or the local copy of one; empty for any other folder."""
    mirror = _mirror(path)
    return "" if mirror is None else mirror.uri


def shown(path: str | Path) -> str:
    """Return how a user names the run at ``path``: by its URI where it is the local copy of one."""
    return uri_of(path) or str(path)


def store_of(path: Path) -> str:
    """Return the URI of ``path``, a folder in the local copy of a run; an empty string for any other."""
    found = mirror_of(path)
    return "" if found is None else below(found[0].uri, *filter(None, found[1].split("/")))


def tune_storage(path: Path) -> dict[str, Any]:
    """Return Ray Tune's ``storage_path`` and ``storage_filesystem`` for the run at ``path``."""
    mirror = _mirror(path)
    if mirror is None:
        return {"storage_path": str(path)}
    from fer_tune.storage.patient import patient_filesystem

    return {"storage_path": mirror.place.path, "storage_filesystem": patient_filesystem(mirror.uri)}


def new_run(storage: str, name: str) -> RunFolder:
    """Return the local copy, not made yet, of a new run ``name`` in the store at ``storage``.

    Raises:
        UserError: the store cannot be reached or written, there is a run of that name, or one that began here and
            was never sent.
    """
    mirror = Mirror(below(storage, name))
    with _reached(mirror.uri):
        if mirror.exists():
            raise UserError(
                f"run {name} exists in {storage}: go on with it by `fer-tune resume {mirror.uri}`, or choose another "
                "--name"
            )
        check_writable(storage)
    if (mirror.folder / "search.yaml").is_file() and mirror.unsent():
        raise UserError(
            f"run {name} began on this machine and has not reached {storage} yet: `fer-tune resume {mirror.uri}` goes "
            "on with it, or choose another --name"
        )
    shutil.rmtree(mirror.home, ignore_errors=True)  # of a run that was removed from the store
    mirror.begin()
    return RunFolder(mirror.folder)


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


def _mirror(path: str | Path) -> Mirror | None:
    uri = run_uri(path)
    if not uri:
        found = mirror_of(local_path(path))
        if found is None:
            return None
        uri = found[0].uri
        return _kept.get(uri, found[0])
    return _kept.get(uri) or Mirror(uri)
