"""Read a run folder: one object with everything that a search, its refits and its test have left on disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from analysis.results import Comparison, Corruptions, TestResult, Transfer
from analysis.run import ledger
from analysis.run.predictions import Predictions, predictions_file, read_predictions
from fer_tune.errors import UserError
from fer_tune.filing.files import read_json
from fer_tune.filing.layout import EPOCHS, RESULT
from fer_tune.filing.tables import read_table
from fer_tune.objectives import ACCURACY, Aim, Judged
from fer_tune.run_folder import (
    EPOCH_COLUMNS,
    TRIAL_COLUMNS,
    FinalPlan,
    Published,
    RefitConfig,
    RefitPlan,
    RefitResult,
    RunFolder,
    SearchSettings,
    TrainedOn,
)
from fer_tune.storage.runs import open_run

if TYPE_CHECKING:
    import pandas as pd  # which takes a third of a second to import, and only frames need

USABLE = ("completed", "stopped")
"""Statuses of trials that count with what they reached."""


@dataclass(frozen=True)
class ConfigRefit:
    """One refitted configuration: its settings, and what each seed gave so far."""

    config: RefitConfig
    results: list[RefitResult]  # one per seed that has ended, by seed
    missing: list[int]  # seeds that have not ended yet
    aim: Aim = ACCURACY  # what the run judges by

    @property
    def completed(self) -> list[RefitResult]:
        """The seeds that ended well."""
        return [result for result in self.results if result.status == "completed"]

    @property
    def failed(self) -> list[RefitResult]:
        """The seeds that failed, also when tried again."""
        return [result for result in self.results if result.status == "failed"]

    @property
    def values(self) -> list[float]:
        """What each completed seed is judged by, at its best epoch."""
        return [getattr(result, self.aim.column) for result in self.completed]

    @property
    def mean(self) -> float:
        """Mean of `values`; NaN without any."""
        return sum(self.values) / len(self.values) if self.values else float("nan")

    @property
    def key(self) -> float:
        """What configurations sort by, more is better; the least without any seed."""
        return self.aim.key(self.mean)


@dataclass(frozen=True)
class PublishedTrial:
    """A configuration that a paper picked, and its trial in this run (None when it did not start)."""

    published: Published
    backbone: str
    trial: dict[str, Any] | None  # its row of `trials`


@dataclass(frozen=True)
class RunRecord:
    """What a run has left on disk, read on demand; nothing here changes it.  `analysis.Run` adds what can be done."""

    folder: RunFolder
    settings: SearchSettings

    @property
    def place(self) -> str:
        """The run as a user names it: the path of its folder, or its URI."""
        return self.folder.place

    @property
    def quoted(self) -> str:
        """:attr:`place` as a word of a command line."""
        return self.folder.quoted

    @property
    def aim(self) -> Aim:
        """What the run judges by: validation accuracy, unless the search was for something else."""
        return self.settings.aim

    @property
    def objective(self) -> Judged:
        """The name of `aim`."""
        return cast(Judged, self.settings.objectives[0])

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of ``trials.parquet`` with their exact types, ``config`` gathered in a dictionary of its own."""
        rows = []
        self.folder.check_trials()
        for row in _table(self.folder.trials_file, TRIAL_COLUMNS).to_pylist():
            config = {k.removeprefix("config."): v for k, v in row.items() if k.startswith("config.") and v is not None}
            rows.append({k: v for k, v in row.items() if not k.startswith("config.")} | {"config": config})
        return rows

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row per trial: `run_folder.TRIAL_COLUMNS`, then the ``config.*`` columns; in the order of their start."""
        self.folder.check_trials()
        return _frame(self.folder.trials_file, TRIAL_COLUMNS)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """A row per trial and epoch: `run_folder.EPOCH_COLUMNS`."""
        self.folder.check_epochs(sum(row["epochs"] or 0 for row in self.rows))
        return _frame(self.folder.epochs_file, EPOCH_COLUMNS)

    @property
    def ranked(self) -> list[dict[str, Any]]:
        """Completed and stopped trials of `rows`, the best by `aim` first; ties by trial_id."""
        usable = [row for row in self.rows if row["status"] in USABLE and _number(row[self.aim.column])]
        return sorted(usable, key=lambda row: (-self.aim.key(row[self.aim.column]), row["trial_id"]))

    @property
    def best_config(self) -> dict[str, Any] | None:
        """Settings of the best trial by `aim`; None when no trial has ended."""
        return dict(self.ranked[0]["config"]) if self.ranked else None

    @property
    def published(self) -> list[PublishedTrial]:
        """The published configurations that the search was given, each with its trial."""
        found = []
        for backbone, entries in self.settings.published.items():
            for entry in entries:
                own = (row for row in self.rows if row["origin"] == entry.name and row["backbone"] == backbone)
                found.append(PublishedTrial(entry, backbone, next(own, None)))
        return found

    @property
    def published_names(self) -> set[str]:
        """Names of those; a trial of another name came from an earlier search, by the user or by the space."""
        return {entry.name for entries in self.settings.published.values() for entry in entries}

    @property
    def refit_plan(self) -> RefitPlan | None:
        """What was to be refitted; None before `fer-tune refit`."""
        known = self.folder.refit_file.is_file() or self.folder.has_refits()
        return self.folder.refit_plan() if known else None

    @property
    def refits(self) -> list[ConfigRefit]:
        """Every planned configuration with the seeds that have ended; empty before `fer-tune refit`."""
        plan = self.refit_plan
        if plan is None:
            return []
        found = []
        for config in plan.configs:
            results = {seed: self.refit_result(config.config_id, seed) for seed in plan.seeds}
            ended = [result for result in results.values() if result is not None]
            missing = [seed for seed, result in results.items() if result is None]
            found.append(ConfigRefit(config, ended, missing, self.aim))
        return found

    @property
    def final_plan(self) -> FinalPlan | None:
        """Which configurations were to be trained on train and val together; None before that was asked for."""
        return self.folder.final_plan()

    @property
    def finals(self) -> list[ConfigRefit]:
        """Each configuration of `final_plan` with the seeds that have ended on train and val together."""
        plan, first = self.final_plan, self.refit_plan
        if plan is None or first is None:
            return []
        configs = {config.config_id: config for config in first.configs}
        found = []
        for entry in plan.configs:
            results = {seed: self.refit_result(entry.config_id, seed, "train+val") for seed in plan.seeds}
            ended = [result for result in results.values() if result is not None]
            missing = [seed for seed, result in results.items() if result is None]
            found.append(ConfigRefit(configs[entry.config_id], ended, missing, self.aim))
        return found

    def refit_result(self, config_id: str, seed: int, on: TrainedOn = "train") -> RefitResult | None:
        """Return how one refit ended; None when it has not."""
        file = self.folder.refit_seed(config_id, seed, on) / RESULT
        again = f"remove it, and `fer-tune refit {self.quoted}` trains this seed again"
        return read_json(RefitResult, file, again) if file.is_file() else None

    def refit_epochs(self, config_id: str, seed: int, on: TrainedOn = "train") -> pd.DataFrame:
        """Return the epochs of one refit, as `epochs` (``trial_id`` is ``<config_id>/seed_<s>``)."""
        return _frame(self.folder.refit_seed(config_id, seed, on) / EPOCHS, EPOCH_COLUMNS)

    @property
    def openings(self) -> list[dict[str, Any]]:
        """Every opening of the held-out split by this run, oldest first: those lines of ``test/ledger.jsonl``.

        `analysis.run.openings` checks them, and knows of other runs on the same split.
        """
        return ledger.read(self.folder.ledger_file).openings

    @property
    def readings(self) -> list[dict[str, Any]]:
        """Every further reading by the tested models, oldest first: under corruptions, of another dataset's split."""
        return [entry for entry in ledger.read(self.folder.ledger_file).entries if entry["kind"] in ledger.FURTHER]

    @property
    def all_tests(self) -> list[TestResult]:
        """The ``metrics.json`` of every opening: the latest opening first, its winner first."""
        files = sorted(self.folder.path.glob("test/opening_*/*/metrics.json"))
        found = [read_json(TestResult, file, self._test_again) for file in files]
        return sorted(found, key=lambda result: (-result.opening, result.role != "winner", result.config_id))

    @property
    def tests(self) -> list[TestResult]:
        """The latest result of every configuration that was tested, in the order of `all_tests`."""
        found: dict[str, TestResult] = {}
        for result in self.all_tests:
            found.setdefault(result.config_id, result)
        return list(found.values())

    @property
    def comparison(self) -> Comparison | None:
        """The winner of the latest test against the others in its opening; None where nothing else was tested."""
        tests = self.all_tests
        file = self.folder.comparison_file(tests[0].opening) if tests else None
        if file is None or not file.is_file():
            return None
        return read_json(Comparison, file, self._test_again)

    @property
    def corruptions(self) -> Corruptions | None:
        """The winner of the latest test under common corruptions; None where that was not asked for."""
        tests = self.tests
        file = self.folder.corruptions_file(tests[0].config_id, tests[0].opening) if tests else None
        if file is None or not file.is_file():
            return None
        return read_json(Corruptions, file, self._test_again)

    @property
    def transfers(self) -> list[Transfer]:
        """The latest reading of every other dataset's held-out split, by that dataset's name."""
        files = self.folder.path.glob("test/on/*/reading_*/transfer.json")
        found = [read_json(Transfer, file, self._test_again) for file in files]
        latest = {each.split_hash: each for each in sorted(found, key=lambda each: each.reading)}
        return sorted(latest.values(), key=lambda each: (each.tested_on, each.split_hash))

    @property
    def _test_again(self) -> str:
        again = f"fer-tune test {self.quoted} --again"
        return f"take it from a backup, or remove it and read the split once more, on record: {again}"

    def predictions(self, config_id: str, views: str = "none") -> Predictions:
        """Return what the seeds of a tested configuration predict for the held-out images, in its latest test.

        Raises:
            UserError: it was not tested, or not with these views.
        """
        test = next((test for test in self.tests if test.config_id == config_id), None)
        if test is None:
            raise UserError(f"{self.place}: {config_id} was not tested; `fer-tune test` does")
        return read_predictions(predictions_file(self.folder.test(config_id, test.opening), views))


def read_run(path: str | Path) -> RunRecord:
    """Open the run at ``path``, a run folder or the URI of one such as ``s3://bucket/runs/name``, for reading.

    What has changed behind a URI is brought to this machine first; the weights of models only when they are used.

    Raises:
        UserError: there is no run, its store cannot be reached, or a newer fer-tune wrote it.
    """
    folder = open_run(path)
    return RunRecord(folder, folder.settings())


def _table(file: Path, columns: dict[str, pa.DataType]) -> pa.Table:
    if not file.is_file():
        return pa.table({name: pa.array([], type=kind) for name, kind in columns.items()})
    table = read_table(file)
    lacking = [name for name in columns if name not in table.column_names]
    if lacking:
        raise UserError(f"{file}: lacks the columns {', '.join(lacking)}; it is not a table of this fer-tune")
    return table


def _frame(file: Path, columns: dict[str, pa.DataType]) -> pd.DataFrame:
    frame: pd.DataFrame = _table(file, columns).to_pandas()
    return frame


def _number(value: float | None) -> bool:
    return value is not None and value == value
