"""The local copy of a run folder that lives in an object store, and what passes between the two.

The copy is ``<cache>/runs/<hash of the URI>/<run's name>``; beside it, ``mirror.json`` notes how each file was, here
and there, when it was last the same on both sides. So a pass copies what has changed and nothing else, what could not
be sent is found again by any later command, and nobody's newer file is written over by an older one. Ray Tune's
folder ``tune`` is not part of it: every trial writes its checkpoints to the store itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from fer_tune.data.prepared.remote import cache_folder
from fer_tune.filing.files import write_json
from fer_tune.filing.uris import last_name
from fer_tune.storage.place import Place, Stat, hidden

_NOT_HERE = ("tune",)  # Tune's own
_ON_DEMAND = (".safetensors", ".pt", ".onnx")  # large, and few commands need them: see `Mirror.fetch`
_SIDE_BY_SIDE = 8  # files copied at once
_RACY = 2.0  # seconds in which a store may note two contents of one size by one time

Wanted = Callable[[str], bool]


def small(name: str) -> bool:
    """Tell whether a file is one that every command brings here: tables, plans, results, the study, the report."""
    return not (name.endswith(_ON_DEMAND) or name.startswith(("wandb/", "export/")))


def with_wandb(name: str) -> bool:
    """Tell whether a file is small, or belongs to a W&B run that was recorded offline."""
    return small(name) or name.startswith("wandb/")


def everything(name: str) -> bool:
    """Want every file."""
    return True


class Mirror:
    """The copy on this machine of the run folder at ``uri``; several processes and threads may use it at once.

    Its methods raise OSError where the store cannot be reached; what they did until then counts.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.home = _runs() / hashlib.sha256(uri.encode()).hexdigest()[:16]
        self.folder = self.home / last_name(uri)
        self.place = Place(uri)
        self._here: set[str] = set()  # what this object has seen here: what is gone later was removed on purpose

    def begin(self) -> None:
        """Note on this machine that the copy belongs to the store, before there is anything in it."""
        with self._pass():
            pass

    def look(self) -> None:
        """Note which files are here now: those that are gone at a later `push` go from the store too."""
        self._here |= set(self._names())

    def exists(self) -> bool:
        """Tell whether the store has a run there."""
        return self.place.stat("search.yaml") is not None

    def pull(self, wanted: Wanted = small, under: str = "") -> None:
        """Bring what has changed in the store; what has changed here stays, and is sent by the next `push`.

        A file that both sides have changed: of one that lines are appended to, both sides' lines are kept; of any
        other the store's, and ours is put aside under ``aside`` beside the copy.

        Args:
            wanted: which files.
            under: look into this folder of the run alone.
        """
        with self._pass() as files:
            now = time.time_ns()
            there = self.place.listing(under, without=_NOT_HERE)
            jobs = [name for name, stat in there.items() if wanted(name) and self._is_news(files, name, stat)]
            self._side_by_side(jobs, lambda name: self._get(files, name, there[name], now))
            inside = f"{under}/" if under else ""
            for name in [name for name in files if name.startswith(inside) and name not in there]:
                if self._signature(name) == files[name].get("local"):  # removed there, and not changed here
                    (self.folder / name).unlink(missing_ok=True)
                del files[name]
            self._here = set(self._names())

    def fetch(self, name: str) -> bool:
        """Bring one file, however large, unless it is here; tell whether there is one now."""
        if (self.folder / name).is_file():
            return True
        with self._pass() as files:
            stat = self.place.stat(name)
            if stat is None:
                return False
            self._get(files, name, stat, time.time_ns())
            return True

    def push(self, wanted: Wanted = everything) -> int:
        """Send what has changed here, whole files each; return how many.

        Files that this object has seen here and that are gone are removed from the store as well.
        """
        with self._pass() as files:
            jobs = [name for name in self._names() if wanted(name) and self._is_unsent(files, name)]
            state = [name for name in jobs if name.endswith("state.pt")]  # names a file that must be there first
            self._side_by_side([name for name in jobs if name not in state], lambda name: self._put(files, name))
            self._side_by_side(state, lambda name: self._put(files, name))
            here = set(self._names())
            for name in self._here - here:
                if wanted(name):
                    self.place.delete(name)
                    files.pop(name, None)
                    self._here.discard(name)
            self._here |= here
            return len(jobs)

    def unsent(self) -> list[str]:
        """Return the files here that the store does not have, or not with this content."""
        files = self._read()
        return [name for name in self._names() if self._is_unsent(files, name)]

    def drop(self) -> None:
        """Remove the copy on this machine."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _is_news(self, files: dict[str, Any], name: str, there: Stat) -> bool:
        known = files.get(name, {})
        here = self._signature(name)
        if here is None:
            return name not in self._here  # else it was removed here on purpose, which the next push tells the store
        changed_there = known.get("remote") != list(there) or there.mtime is None
        if here != known.get("local"):
            return bool(changed_there)
        return bool(changed_there or known.get("racy"))

    def _is_unsent(self, files: dict[str, Any], name: str) -> bool:
        signature = self._signature(name)
        return signature is not None and signature != files.get(name, {}).get("local")

    def _get(self, files: dict[str, Any], name: str, there: Stat, now: int) -> None:
        target = self.folder / name
        ours = self._signature(name)
        mine = ours is not None and ours != files.get(name, {}).get("local")
        kept = self._aside(name) if mine else None
        try:
            self.place.get(name, target, there.mtime)
        except FileNotFoundError:
            return  # removed since it was listed
        racy = there.mtime is not None and now - there.mtime < _RACY * 1e9
        files[name] = {"local": self._signature(name), "remote": list(there), "racy": racy}
        if kept is not None and name.endswith(".jsonl"):
            known = target.read_text(encoding="utf-8").splitlines()
            own = [line for line in kept.read_text(encoding="utf-8").splitlines() if line not in known]
            with target.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in own)

    def _aside(self, name: str) -> Path:
        """Keep our own version of a file that the store has another one of."""
        kept = self.home / "aside" / time.strftime("%Y%m%d-%H%M%S") / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.folder / name, kept)
        return kept

    def _put(self, files: dict[str, Any], name: str) -> None:
        signature = self._signature(name)  # of before: what is changed meanwhile is sent again
        with suppress(FileNotFoundError):  # a temporary one
            self.place.put(name, self.folder / name)
            there = self.place.stat(name)
            files[name] = {"local": signature, "remote": list(there) if there else None}

    def _side_by_side(self, names: Iterable[str], call: Callable[[str], None]) -> None:
        names = list(names)
        if not names:
            return
        with ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(names)), thread_name_prefix="fer-tune-store") as pool:
            for future in [pool.submit(call, name) for name in names]:
                try:
                    future.result()
                except BaseException:
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise

    def _names(self) -> Iterator[str]:
        """Yield the files here, as far as they belong in the store."""
        for folder, folders, files in os.walk(self.folder):
            inside = Path(folder).relative_to(self.folder).as_posix()
            if inside == ".":
                folders[:] = [name for name in folders if name not in _NOT_HERE]
            for file in files:
                name = file if inside == "." else f"{inside}/{file}"
                if not hidden(name) and not (self.folder / name).is_symlink():
                    yield name

    def _signature(self, name: str) -> list[int] | None:
        try:
            stat = (self.folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return [stat.st_size, stat.st_mtime_ns]

    @contextmanager
    def _pass(self) -> Iterator[dict[str, Any]]:
        """Yield what is known of each file, for one pass at a time of all processes; what changed in it is kept."""
        self.home.mkdir(parents=True, exist_ok=True)
        with FileLock(self.home / ".lock"):
            files = self._read()
            before = json.dumps(files, sort_keys=True)
            try:
                yield files
            finally:
                if json.dumps(files, sort_keys=True) != before or not self._note.is_file():
                    write_json({"uri": self.uri, "files": files}, self._note)

    @property
    def _note(self) -> Path:
        return self.home / "mirror.json"

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self._note.read_text(encoding="utf-8"))["files"])
        except FileNotFoundError:
            return {}


def uri_of_copy(folder: Path) -> str:
    """Return the URI of the run that ``folder`` is the local copy of; an empty string for any other folder."""
    try:
        home, name = folder.resolve().relative_to(_runs()).parts
    except ValueError:  # elsewhere, or not a folder two below
        return ""
    note = _runs() / home / "mirror.json"
    uri = str(json.loads(note.read_text(encoding="utf-8"))["uri"]) if note.is_file() else ""
    return uri if last_name(uri) == name else ""


def _runs() -> Path:
    return cache_folder().resolve() / "runs"
