"""Ledgers of openings of a held-out split: lines that are appended, and chained so that a change shows.

A ledger is a file of JSON lines. Each line holds, as ``previous``, the SHA-256 of a line before it, 64 zeros where
there was none. So a line that was changed, taken out or put in is found by those after it. Two lines may follow the
same one: that is what remains of two openings side by side, each on its own machine. A chain cannot show that its end
was cut off: that is found by what lies beside it (`analysis.run.openings`).

A line is of one of these kinds: an ``opening``, written before the split is read; ``corruptions`` or ``transfer``,
written before the models that were tested read further (`analysis.heldout.further`); the ``result`` of any of them,
with the SHA-256 of every file that it gave.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, SoftFileLock, Timeout

from fer_tune.errors import UserError

FIRST = "0" * 64
"""What the first line of a ledger names as the one before."""

FURTHER = ("corruptions", "transfer")
"""Kinds of the lines that record a further reading."""

_PATIENCE = 60.0  # seconds that a lock is waited for: between check and append some files are read and written, no more


@dataclass(frozen=True)
class Ledger:
    """What a ledger holds, oldest first, and what is wrong with it."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    last: str = FIRST  # what the next line has to name

    @property
    def openings(self) -> list[dict[str, Any]]:
        """The lines that record an opening."""
        return [entry for entry in self.entries if entry.get("kind") == "opening"]

    @property
    def results(self) -> list[dict[str, Any]]:
        """The lines that record what an opening gave."""
        return [entry for entry in self.entries if entry.get("kind") == "result"]


def digest(content: bytes) -> str:
    """Return the SHA-256 (hex) that stands for a line, or for a file."""
    return hashlib.sha256(content).hexdigest()


def parse(lines: Iterable[str], *, ordered: bool = True) -> Ledger:
    """Read the lines of a ledger and follow their chain; what does not fit is a fault, in words, and no error.

    Args:
        lines: without their ends.
        ordered: they stand in the order in which they were written; else a line may name any other.
    """
    entries: list[dict[str, Any]] = []
    faults: list[str] = []
    kept = [line for line in lines if line.strip()]
    last, known = FIRST, {FIRST} if ordered else {FIRST, *(digest(line.encode()) for line in kept)}
    for number, line in enumerate(kept, start=1):
        last = digest(line.encode())
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict) and isinstance(entry.get("kind"), str):
            entries.append(entry)
            if entry.get("previous") not in known:
                faults.append(f"line {number} does not follow from those before it")
        else:
            faults.append(f"line {number} cannot be read")
        known.add(last)
    return Ledger(entries, faults, last)


def read(file: Path) -> Ledger:
    """Read a ledger; a file that is not there is one with no lines.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        return parse(file.read_text(encoding="utf-8", errors="replace").splitlines())
    except (FileNotFoundError, NotADirectoryError):
        return Ledger()


def chained(entry: dict[str, Any], previous: str) -> str:
    """Return the line of ``entry`` that follows the line of hash ``previous``."""
    return json.dumps({**entry, "previous": previous})


def append(file: Path, entry: dict[str, Any]) -> None:
    """Append ``entry`` to a ledger; it is on the disk when this returns.

    Raises:
        OSError: the file cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    line = chained(entry, read(file).last)
    with file.open("a+b") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":  # a line that was cut short stands for itself
                stream.write(b"\n")
        stream.write(f"{line}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def locked(*files: Path) -> Iterator[None]:
    """Have the ledgers at ``files`` alone while the block checks them and appends.

    A folder that cannot be written is passed over: nothing can be appended there either.

    Raises:
        UserError: another process has had one for a minute.
    """
    with ExitStack() as held:
        for file in files:
            lock = file.with_name(f".{file.name}.lock")
            try:
                lock.parent.mkdir(parents=True, exist_ok=True)
                try:
                    held.enter_context(FileLock(lock, timeout=_PATIENCE))
                except NotImplementedError:  # a file system without locks
                    held.enter_context(SoftFileLock(lock, timeout=_PATIENCE))
            except Timeout:
                raise UserError(
                    f"{lock}: held by another `fer-tune test` for {_PATIENCE:.0f} s; try again when that has ended, or "
                    "remove the file if none runs"
                ) from None
            except OSError:
                continue
        yield
