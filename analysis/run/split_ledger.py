"""Who has opened a held-out split: the ledger of its content, which all runs on it share.

It is kept wherever it can be:

- on this machine, in the cache folder, by the hash of the split: known however often the dataset is copied, moved or
  prepared again, also where it is read-only;
- beside the dataset, as ``openings.jsonl`` in its folder: goes with it to other machines and people;
- behind a URI, an object for each line below ``openings/``: nobody writes over what another machine has written.

What is known of a split is what all these places hold together; an opening has an ``id``, so it counts once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.run import ledger
from fer_tune.data.prepared.card import read_card
from fer_tune.data.prepared.remote import cache_folder
from fer_tune.errors import UserError
from fer_tune.filing.uris import as_uri, local_path, parted
from fer_tune.storage.place import Place

FILE = "openings.jsonl"
"""In a prepared dataset's folder."""

_OBJECTS = "openings"  # the folder below a dataset's URI


@dataclass(frozen=True)
class SplitLedger:
    """The ledger of one held-out split, over all the places where it is kept.

    Attributes:
        split_hash: SHA-256 of the split.
        machine: the file on this machine; None where there is no home for it.
        folder: of the dataset, where that is a folder with this split.
        uri: of the dataset, where it is in a store.
    """

    split_hash: str
    machine: Path | None
    folder: Path | None = None
    uri: str = ""

    @classmethod
    def of(cls, split_hash: str, location: str) -> SplitLedger:
        """Return the ledger of a split in the dataset at ``location``, a folder or a URI; it may be gone."""
        try:
            machine = cache_folder() / "openings" / f"{split_hash}.jsonl"
        except RuntimeError:  # neither HOME nor a name for this user
            machine = None
        if uri := as_uri(parted(location)[0]):
            return cls(split_hash, machine, uri=uri)
        folder = local_path(location).expanduser()
        try:
            own = read_card(folder).split_hashes.get("test") == split_hash
        except UserError:  # moved, or none any more
            own = False
        return cls(split_hash, machine, folder if own else None)

    @property
    def files(self) -> list[Path]:
        """Its files, to be locked before they are read and appended to."""
        return [file for file in (self.machine, self.folder and self.folder / FILE) if file is not None]

    def read(self) -> ledger.Ledger:
        """Return what all its places know, oldest first, each opening once; what is wrong is told of each place.

        A place that cannot be read has nothing to say: a store may be out of reach where a report is written.
        """
        entries: dict[tuple[str, str], dict[str, Any]] = {}
        faults: list[str] = []
        for name, look in self._places():
            try:
                found = look()
            except (OSError, UserError):
                continue
            faults += [f"{name}: {fault}" for fault in found.faults]
            for entry in found.entries:
                entries.setdefault((str(entry.get("kind")), str(entry.get("id"))), entry)
        ordered = sorted(entries.values(), key=lambda entry: str(entry.get("when")))
        return ledger.Ledger(ordered, faults)

    def append(self, entry: dict[str, Any]) -> list[str]:
        """Append to every place; return those that could not be written, in words."""
        left = []
        if self.machine is None:
            left.append("on this machine")
        for file in self.files:
            try:
                ledger.append(file, entry)
            except OSError:
                left.append("on this machine" if file == self.machine else "beside the dataset")
        if self.uri:
            try:
                self._put(entry)
            except (OSError, UserError):
                left.append("beside the dataset")
        return left

    def _places(self) -> list[tuple[str, Callable[[], ledger.Ledger]]]:
        found: list[tuple[str, Callable[[], ledger.Ledger]]] = []
        if (file := self.machine) is not None:
            found.append(("on this machine", lambda: ledger.read(file)))
        if (folder := self.folder) is not None:
            found.append(("beside the dataset", lambda: ledger.read(folder / FILE)))
        if self.uri:
            found.append(("beside the dataset", self._objects))
            found.append(("beside the dataset", self._copied))
        return found

    def _objects(self) -> ledger.Ledger:
        """Read the objects; their names begin with the time, by the clock of whoever wrote."""
        place = Place(self.uri)
        return ledger.parse((_text(place, name).strip() for name in sorted(place.listing(_OBJECTS))), ordered=False)

    def _copied(self) -> ledger.Ledger:
        """Read the file of a folder that was copied into the store with its dataset."""
        place = Place(self.uri)
        return ledger.parse(_text(place, FILE).splitlines() if place.stat(FILE) else [])

    def _put(self, entry: dict[str, Any]) -> None:
        line = ledger.chained(entry, self._objects().last)
        when = "".join(filter(str.isdigit, str(entry["when"])))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "line.json"
            file.write_text(line, encoding="utf-8")
            Place(self.uri).put(f"{_OBJECTS}/{when}-{entry['kind']}-{entry['id']}.json", file)


def _text(place: Place, name: str) -> str:
    with place.filesystem.open_input_stream(f"{place.path}/{name}") as stream:
        content: bytes = stream.read()
    return content.decode("utf-8", errors="replace")
