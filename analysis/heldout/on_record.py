"""An opening goes on record: before the split is read, with why; and after it, with the hashes of what it gave."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from analysis.results import TestResult
from analysis.run import RunRecord, ledger
from analysis.run.openings import Openings, openings_of, run_key, split_ledger
from analysis.run.split_ledger import SplitLedger
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.storage.runs import refreshed
from fer_tune.version import __version__


def check_not_opened(run: RunRecord, location: str = "") -> None:
    """Refuse where this run has read its held-out split before, or its records of that do not hold.

    Args:
        run: the run.
        location: where its dataset is, if that was moved.

    Raises:
        UserError: it has; with what came of it, and how to read it once more.
    """
    known = openings_of(run, split_ledger(run, location))
    if known.own or known.faults:
        raise UserError(_opened_before(run, known))


class OnRecord:
    """One opening of the held-out split of a run by the models that it is for.

    Attributes:
        number: of the opening, in this run.
        when: ISO 8601, UTC.
    """

    number: int
    when: str

    def __init__(self, run: RunRecord, dataset: PreparedDataset, *, again: bool, why: str | None) -> None:
        self._run, self._dataset, self._again, self._why = run, dataset, again, why
        self._split = SplitLedger.of(dataset.card.split_hashes["test"], dataset.location or str(dataset.path))
        self._entry: dict[str, Any] = {}
        self._left: list[str] = []

    def begin(self, told: dict[str, Any]) -> None:
        """Check once more and append the opening, with nobody between the two; then the split may be read.

        Args:
            told: what is opened for, by name: JSON values.

        Raises:
            UserError: it was opened before and ``again`` is false, or it cannot be put on record.
        """
        run, card, file = self._run, self._dataset.card, self._run.folder.ledger_file
        with ledger.locked(file, *self._split.files):
            refreshed(run.folder, file.parent)  # another machine may have opened it since this command began
            known = openings_of(run, self._split)
            if (known.own or known.faults) and not self._again:
                raise UserError(_opened_before(run, known))
            self.number, self.when = known.number, datetime.now(UTC).isoformat(timespec="seconds")
            self._entry = {
                "kind": "opening",
                "id": uuid.uuid4().hex,
                "run": run_key(run.settings),
                "name": run.settings.name,
                "when": self.when,
                "opening": self.number,
                **told,
                "why": self._why or ("asked for with --again" if known.own or known.faults else "first reading"),
                "dataset": card.name,
                "split_hash": card.split_hashes["test"],
                "content_hash": card.content_hash,
                "fer_tune": __version__,
            }
            known_then = {"before_by_others": known.other_runs, "faults": known.faults}
            try:
                ledger.append(file, self._entry | known_then)
            except OSError as error:
                raise UserError(
                    f"{file}: cannot be written ({error.strerror}); an opening has to be on record, so nothing was "
                    "opened"
                ) from None
            self._left = self._split.append(self._entry)

    def end(self, results: list[TestResult]) -> None:
        """Append the hashes of every file that the opening gave.

        Args:
            results: what ``metrics.json`` holds, of every configuration that was tested.
        """
        run, folder = self._run, self._run.folder.opening(self.number)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        entry = {
            **{name: self._entry[name] for name in ("id", "run", "name", "opening")},
            "kind": "result",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "accuracy": {result.config_id: result.accuracy.value for result in results},
            "files": {path.relative_to(run.folder.path).as_posix(): ledger.digest(path.read_bytes()) for path in files},
        }
        with ledger.locked(run.folder.ledger_file, *self._split.files):
            ledger.append(run.folder.ledger_file, entry | {"not_noted": self._left})
            self._split.append(entry)


def _opened_before(run: RunRecord, known: Openings) -> str:
    told = ""
    if known.own:
        last = known.own[-1]
        file = run.folder.test(str(last.get("what")), int(last.get("opening", 0))) / "metrics.json"
        result = f"its result is in {file}" if file.is_file() else "it left no result"
        times = "once" if len(known.own) == 1 else f"{len(known.own)} times"
        told = f"the held-out split was opened {times}, last on {last.get('when')} for {last.get('what')}; {result}.\n"
    if known.faults:
        told += f"the records of openings do not hold: {'; '.join(known.faults)}.\n"
    return (
        f"{run.place}: {told}"
        "A split that is read until the number pleases is a validation split. "
        f"To read it once more, counted in the report: `fer-tune test {run.quoted} --again`"
    )
