"""Further readings by models that were tested: of the held-out split under corruptions, of another dataset's split.

Nothing is chosen by them, and the figure of the test stays what it was; so they are no openings of the run's own split
that ``--again`` would have to ask for.  They go on record all the same, before the split is read and after it: in the
run's ledger, and in that of the split.  Who reads another dataset's held-out split has opened it, and the runs on that
dataset are told so.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from analysis.run import RunRecord, ledger
from analysis.run.openings import openings_of, run_key, split_ledger
from analysis.run.split_ledger import SplitLedger
from fer_tune.data.prepared.store import PreparedDataset, Split
from fer_tune.errors import UserError
from fer_tune.storage.runs import refreshed
from fer_tune.version import __version__


class FurtherReading:
    """One further reading, on record.

    Args:
        run: the run whose models read.
        dataset: whose held-out split they read.
        kind: what it is.
        why: the reason to note.
        location: where the run's own dataset is, if it was moved.

    Attributes:
        when: ISO 8601, UTC.
    """

    when: str

    def __init__(
        self,
        run: RunRecord,
        dataset: PreparedDataset,
        kind: Literal["corruptions", "transfer"],
        why: str | None,
        location: str,
    ) -> None:
        self._run, self._dataset, self._kind, self._why, self._location = run, dataset, kind, why, location
        self._split = SplitLedger.of(dataset.card.split_hashes["test"], dataset.location or str(dataset.path))
        self._entry: dict[str, Any] = {}
        self._left: list[str] = []

    def before(self) -> list[dict[str, Any]]:
        """Return the openings of the split by this run, oldest first, as the split's ledger knows them."""
        key = run_key(self._run.settings)
        return [entry for entry in self._split.read().openings if entry.get("run") == key]

    def open(self, told: dict[str, Any]) -> Split:
        """Put the reading on record, and open the split.

        Args:
            told: what is read for, by name: JSON values.

        Raises:
            UserError: the records do not hold, or cannot be written.
        """
        run, card, file = self._run, self._dataset.card, self._run.folder.ledger_file
        with ledger.locked(file, *self._split.files):
            refreshed(run.folder, file.parent)
            if faults := openings_of(run, split_ledger(run, self._location)).faults:
                raise UserError(
                    f"{run.place}: the records of openings do not hold: {'; '.join(faults)}. Nothing was opened; "
                    f"`fer-tune test {run.quoted} --again` tests once more, on record"
                )
            self.when = datetime.now(UTC).isoformat(timespec="seconds")
            self._entry = {
                "kind": self._kind,
                "id": uuid.uuid4().hex,
                "run": run_key(run.settings),
                "name": run.settings.name,
                "when": self.when,
                **told,
                "why": self._why or "asked for",
                "dataset": card.name,
                "split_hash": card.split_hashes["test"],
                "content_hash": card.content_hash,
                "fer_tune": __version__,
            }
            try:
                ledger.append(file, self._entry)
            except OSError as error:
                raise UserError(
                    f"{file}: cannot be written ({error.strerror}); a reading has to be on record, so nothing was "
                    "opened"
                ) from None
            self._left = self._split.append(self._entry | ({"kind": "opening"} if self._kind == "transfer" else {}))
        return self._dataset.open_test()

    def end(self, accuracy: float, *files: Path) -> None:
        """Append the hashes of the files that the reading gave.

        Args:
            accuracy: what it came to, in [0, 1].
            files: in the run folder.
        """
        run = self._run
        entry = {
            **{name: self._entry[name] for name in ("id", "run", "name")},
            "kind": "result",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "accuracy": {self._entry["what"]: accuracy},
            "files": {path.relative_to(run.folder.path).as_posix(): ledger.digest(path.read_bytes()) for path in files},
        }
        with ledger.locked(run.folder.ledger_file, *self._split.files):
            ledger.append(run.folder.ledger_file, entry | {"not_noted": self._left})
            self._split.append(entry)
