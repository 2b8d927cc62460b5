"""How often a held-out split was read: by a run, by other runs on the same images; and whether the records hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.run import ledger
from analysis.run.cards import dataset_card
from analysis.run.reading import RunRecord
from analysis.run.split_ledger import SplitLedger
from fer_tune.run_folder import SearchSettings


@dataclass(frozen=True)
class Openings:
    """What is known of the openings of a run's held-out split.

    Attributes:
        own: by this run, oldest first.
        others: by other runs, oldest first.
        faults: what is wrong with the records, in words.
        number: of the next opening by this run.
        not_noted: where readings by this run could not be noted, in words.
    """

    own: list[dict[str, Any]]
    others: list[dict[str, Any]]
    faults: list[str]
    number: int
    not_noted: list[str] = field(default_factory=list)

    @property
    def other_runs(self) -> list[str]:
        """Words for each other run that read the same images: its name, when it first and how often it did."""
        lines = []
        for key in dict.fromkeys(entry.get("run") for entry in self.others):
            found = [entry for entry in self.others if entry.get("run") == key]
            times = "" if len(found) == 1 else f", {len(found)} times"
            lines.append(f"{found[0].get('name')} ({str(found[0].get('when'))[:10]}{times})")
        return lines


def run_key(settings: SearchSettings) -> str:
    """Return what a run is known by in the ledger of a split: the same for its copies, wherever they lie."""
    text = f"{settings.name}\n{settings.created}\n{settings.dataset.content_hash}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split_ledger(run: RunRecord, location: str = "") -> SplitLedger | None:
    """Return the ledger of the run's held-out split; None where the split's hash is not known.

    Args:
        run: the run.
        location: where its dataset is; where the run found it, by default.
    """
    card = dataset_card(run)
    if card is None or "test" not in card.split_hashes:
        return None
    return SplitLedger.of(card.split_hashes["test"], location or run.settings.dataset.path)


def openings_of(run: RunRecord, split: SplitLedger | None) -> Openings:
    """Return who has read the held-out split of ``run``, and check that its records fit together and its results.

    Raises:
        OSError: the run's ledger cannot be read.
    """
    record = ledger.read(run.folder.ledger_file)
    name = run.folder.ledger_file.relative_to(run.folder.path).as_posix()
    faults = [f"{name} was altered: {fault}" for fault in record.faults]
    faults += _results(run, record, name)
    own, others = list(record.openings), []
    if split is not None:
        shared, key = split.read(), run_key(run.settings)
        faults += [f"the ledger of this split {fault}, so it was altered" for fault in shared.faults]
        ids = {entry.get("id") for entry in own}
        others = [entry for entry in shared.openings if entry.get("run") != key]
        for entry in shared.openings:
            if entry.get("run") == key and entry.get("id") not in ids:
                own.append(entry)
                faults.append(f"the split was opened for this run, or a copy of it, on {entry.get('when')}; {name} "
                              "does not have that")  # fmt: skip
    own.sort(key=lambda entry: str(entry.get("when")))
    numbers = [entry["opening"] for entry in own if isinstance(entry.get("opening"), int)]
    left = sorted({place for entry in record.results for place in entry.get("not_noted", ())})
    return Openings(own, others, faults, max([len(own), *numbers, *_folders(run)], default=0) + 1, left)


def _folders(run: RunRecord) -> list[int]:
    """Return the numbers of the openings that left a folder."""
    ends = (path.name.removeprefix("opening_") for path in run.folder.path.glob("test/opening_*"))
    return [int(end) for end in ends if end.isdigit()]


_GIVEN = ("test/opening_*/*/metrics.json", "test/opening_*/*/corruptions.json", "test/on/*/reading_*/transfer.json")


def _results(run: RunRecord, record: ledger.Ledger, name: str) -> list[str]:
    """Return what does not fit between the ledger and the results that lie beside it."""
    here = sorted(path for pattern in _GIVEN for path in run.folder.path.glob(pattern))
    if here and not run.folder.ledger_file.is_file():
        return [f"{name} is missing, but there are results that an opening gave"]
    numbers = {entry.get("opening") for entry in record.openings}
    written: dict[str, str] = {}
    for entry in record.results:
        written |= entry.get("files", {})
    faults = []
    for file in here:
        inside = _inside(run, file)
        if inside not in written:
            told = "it was cut short" if _number(inside) in numbers else f"no opening of that number is in {name}"
            faults.append(f"{inside} is of an opening whose end is not on record: {told}")
    for inside, kept in written.items():
        file = run.folder.path / inside
        if not file.is_file():
            faults.append(f"{inside} is on record and is gone")
        elif ledger.digest(file.read_bytes()) != kept:
            faults.append(f"{inside} is not what its opening wrote: its hash on record is another")
    return faults


def _inside(run: RunRecord, file: Path) -> str:
    return file.relative_to(run.folder.path).as_posix()


def _number(inside: str) -> int | None:
    end = inside.split("/")[1].removeprefix("opening_")
    return int(end) if end.isdigit() else None
