"""A run over folds, as one object: what each fold's run is, and what can be done with all of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.folds.record import FoldsRecord, read_record
from analysis.folds.result import FoldsResult
from analysis.result import Run, load_run
from fer_tune.data.prepared.folds import Fold
from fer_tune.door import Interrupted
from fer_tune.errors import UserError
from fer_tune.filing.files import read_json
from fer_tune.filing.layout import SETTINGS
from fer_tune.filing.uris import local_path

if TYPE_CHECKING:
    import pandas as pd

    from analysis.report.writing import Written


@dataclass(frozen=True)
class FoldsRun:
    """A folder with a run for each fold of a dataset; its doors are those of a run, over all folds.

    Attributes:
        path: the folder.
        record: what was asked for, of which dataset.
        reason: why the search of the last fold ended before its last trial, where it did.
    """

    path: Path
    record: FoldsRecord
    reason: str = ""

    @property
    def place(self) -> str:
        """The folder, as a user names it."""
        return str(self.path)

    @property
    def quoted(self) -> str:
        """:attr:`place` as a word of a command line."""
        return shlex.quote(self.place)

    def folder_of(self, fold: Fold) -> Path:
        """Return the folder of a fold's run."""
        return self.path / f"{self.path.name}-{fold.name}"

    def begun(self, fold: Fold) -> bool:
        """Return whether the search of a fold has begun."""
        return (self.folder_of(fold) / SETTINGS).is_file()

    @property
    def runs(self) -> dict[str, Run]:
        """The run of each fold whose search has begun, by the fold's name."""
        return {fold.name: load_run(self.folder_of(fold)) for fold in self.record.dataset.folds if self.begun(fold)}

    @property
    def result(self) -> FoldsResult | None:
        """What all folds came to; None before `fer-tune test` has ended."""
        file = self.result_file
        again = f"remove it, and `fer-tune test {self.quoted}` writes it again from the folds' results"
        return read_json(FoldsResult, file, again) if file.is_file() else None

    @property
    def result_file(self) -> Path:
        """Where `test` writes what all folds come to."""
        return self.path / "test" / "folds.json"

    def refit(self, **options: Any) -> pd.DataFrame:
        """Refit in every fold what its own search found best; the options are those of `Run.refit`.

        Returns:
            The frames of all folds, with the column ``fold`` before the others.

        Raises:
            UserError: a fold was not searched, or as `Run.refit`.
            Interrupted: Ctrl-C; what has ended is kept, and the next call goes on.
        """
        import pandas as pd

        from fer_tune.search.cluster.ray_session import ray_session

        searched = list(self._searched())
        frames = []
        with ray_session(gpus=options.get("gpus_per_trial", searched[0][1].settings.gpus_per_trial)):  # one for all
            for name, run in searched:
                frame = self._each(name, lambda run=run, name=name: run.refit(**self._own(options, name)), "refit")
                frame.insert(0, "fold", name)
                frames.append(frame)
        found: pd.DataFrame = pd.concat(frames, ignore_index=True)
        return found

    def test(self, **options: Any) -> FoldsResult:
        """Test the winner of every fold on the people held out in it; the options are those of `Run.test`.

        Each fold's held-out split is opened once, on record in its own run.  Folds that were tested already are not
        opened again, so that a test which was interrupted goes on; ``again`` opens all of them once more.

        Returns:
            The tests of all folds together; it is kept in ``test/folds.json``.

        Raises:
            UserError: a fold is not refitted as planned, nothing is left to test, or as `Run.test`.
        """
        from analysis.folds.pooling import pool
        from analysis.refits.selection import select_models
        from fer_tune.filing.files import write_json

        if options.get("on") or options.get("corruptions"):
            first = self.folder_of(self.record.dataset.folds[0])
            raise UserError(f"--on, --corruptions: of one fold at a time; name the run of a fold, such as {first}")
        searched = list(self._searched())
        for name, run in searched:
            try:
                select_models(run)  # of every fold, before the first is opened
            except UserError as error:
                raise UserError(f"{name}: {error}\nall folds: `fer-tune refit {self.quoted}`") from None
        left = [(name, run) for name, run in searched if options.get("again") or not run.tests]
        if not left:
            raise UserError(
                f"{self.place}: the held-out split of every fold was opened, and its result is in {self.result_file}.\n"
                "A split that is read until the number pleases is a validation split. To read all of them once more, "
                f"counted in the report: `fer-tune test {self.quoted} --again`"
            )
        for name, run in left:
            self._each(name, lambda run=run, name=name: run.test(**self._own(options, name)), "test")
        result = pool(self.record.dataset.name, [(name, load_run(run.folder.path)) for name, run in searched])
        write_json(result, self.result_file)
        return result

    def report(self) -> Written:
        """Write ``report/report.html`` and ``report.md``: the folds beside each other, and all of them together."""
        from analysis.folds.writing import Standing, write_folds_report

        first = self.folder_of(self.record.dataset.folds[0]).name
        stand = Standing(
            self.path.name, self.record.dataset.name, self.path / "report", self.result, self._next(), first
        )
        return write_folds_report(stand)

    def _next(self) -> str:
        folds, name = self.record.dataset.folds, self.path.name  # no path of this machine: reports are passed on
        begun = sum(self.begun(fold) for fold in folds)
        if begun < len(folds):
            return f"{begun} of {len(folds)} folds are searched; go on with `fer-tune resume {name}`."
        if tested := sum(bool(own.tests) for own in self.runs.values()):
            return f"{tested} of {len(folds)} folds are tested; go on with `fer-tune test {name}`."
        return f"Every fold is searched; next: `fer-tune refit {name}`, then `fer-tune test {name}`."

    def _searched(self) -> Iterator[tuple[str, Run]]:
        """Yield the run of every fold.

        Raises:
            UserError: one was not searched.
        """
        for fold in self.record.dataset.folds:
            if not self.begun(fold):
                raise UserError(
                    f"{self.place}: {fold.name} was not searched yet; go on with `fer-tune resume {self.quoted}`"
                )
        yield from self.runs.items()

    def _each(self, name: str, call: Any, command: str) -> Any:
        try:
            return call()
        except Interrupted:
            raise Interrupted(
                f"stopped in {name}; what is finished is kept, go on with: fer-tune {command} {self.place}", self
            ) from None

    def _own(self, options: dict[str, Any], name: str) -> dict[str, Any]:
        """Return the options of one fold, whose data lie in its own folder."""
        data = options.get("data")
        return options if data is None else {**options, "data": Path(data) / name}


def folds_at(path: str | Path) -> FoldsRun | None:
    """Open the run over folds in the folder ``path``; None where it is none."""
    record = read_record(path)
    return None if record is None else FoldsRun(local_path(path).expanduser().resolve(), record)


def load_folds(path: str | Path) -> FoldsRun:
    """Open the run over folds in the folder ``path``.

    Raises:
        UserError: there is none.
    """
    found = folds_at(path)
    if found is None:
        raise UserError(
            f"{path}: not a run over folds: no folds.json in it; `fer-tune search` of a dataset in folds makes one"
        )
    return found


def load_any(path: str | Path) -> Run | FoldsRun:
    """Open a run, or a run over folds.

    Raises:
        UserError: there is neither.
    """
    return folds_at(path) or load_run(path)
