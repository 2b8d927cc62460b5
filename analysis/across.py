"""Several runs beside each other: backbones, datasets; paired on the same images where they were tested on the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import bars
from analysis.figures.profiles import profiles
from analysis.refits.plan import config_id
from analysis.refits.selection import best_refit
from analysis.results import Comparison, TestResult, Transfer
from analysis.run import ConfigRefit, RunRecord, read_run
from analysis.run.cards import dataset_card, sampled_groups
from analysis.statistics.comparing.aggregates import Aggregates
from analysis.statistics.comparing.contenders import aggregated
from analysis.statistics.comparing.paired import Contender
from analysis.statistics.comparing.paired import compare as compare_paired
from fer_tune.errors import UserError

COLUMNS = (
    "run",
    "dataset",
    "backbone",
    "config",
    "trials",
    "hours",
    "search_accuracy",
    "refit_accuracy",
    "refit_sd",
    "seeds",
    "test_accuracy",
    "test_low",
    "test_high",
    "test_images",
    "test_macro_f1",
    "openings",
)

TRANSFER_COLUMNS = (
    "run",
    "config",
    "trained_on",
    "tested_on",
    "classes",
    "images",
    "accuracy",
    "low",
    "high",
    "balanced_accuracy",
    "every",
    "every_low",
    "every_high",
    "home",
)


@dataclass(frozen=True)
class Across:
    """What `compare` returns.

    Attributes:
        table: a row per run and backbone, `COLUMNS`; shares in [0, 1], NaN for what is not done yet.  The accuracies
            of a row, in the search, of its refits and on the held-out split, are of one configuration, ``config``:
            the tested winner, else the best refitted one, else the best of the search.
        comparisons: per held-out split that several runs tested on, the best of their winners against the others.
        notes: what to mind when reading the table.
        transfers: a row per run and other dataset that its tested models were read on (`fer-tune test --on`),
            `TRANSFER_COLUMNS`; shares in [0, 1].
        aggregates: over the seeds of all tests on the same datasets; None where there are too few.
        scored: what the aggregates are of and between whom, or why there are none, in a sentence.
    """

    table: pd.DataFrame
    comparisons: list[Comparison]
    notes: list[str]
    transfers: pd.DataFrame
    aggregates: Aggregates | None
    scored: str

    def __repr__(self) -> str:
        """Return what a prompt has room for: the accuracies of each row, and what is said of them."""
        shown = ["run", "backbone", "refit_accuracy", "refit_sd", "test_accuracy", "test_low", "test_high"]
        pairs = [pair for comparison in self.comparisons for pair in comparison.pairs]
        words = [f"{pair.first} against {pair.second}: {pair.words}" for pair in pairs]
        table = self.table[shown].to_string(index=False, float_format="{:.3f}".format)
        return "\n".join([table, *words, self.scored, *self.notes])

    def plot(self) -> Figure:
        """Draw the held-out accuracy of every row, or on validation where it was not tested."""
        rows = []
        for entry in self.table.to_dict("records"):
            name = f"{entry['run']}\n{entry['backbone']}, {entry['dataset']}"
            if entry["test_accuracy"] == entry["test_accuracy"]:
                bounds = (entry["test_low"], entry["test_high"])
                rows.append(bars.Bar(f"{name}, held-out", entry["test_accuracy"], *bounds))
            elif entry["refit_accuracy"] == entry["refit_accuracy"]:
                rows.append(bars.Bar(f"{name}, validation", entry["refit_accuracy"], kind="published"))
            elif entry["search_accuracy"] == entry["search_accuracy"]:
                rows.append(bars.Bar(f"{name}, validation, one seed", entry["search_accuracy"], kind="reported"))
        return bars.bars(rows, "Several runs", "accuracy (%, 95 % intervals where held-out)")

    def plot_profiles(self) -> Figure:
        """Draw the performance profile of every contender.

        Raises:
            UserError: there are too few seeds or tests for one, with what is lacking.
        """
        if self.aggregates is None:
            raise UserError(self.scored)
        return profiles(self.aggregates)


def compare(runs: Sequence[RunRecord | str | Path]) -> Across:
    """Put several runs beside each other.

    Args:
        runs: at least two, opened or as paths.

    Raises:
        UserError: fewer than two, or one is no run or named twice.
    """
    opened = [run if isinstance(run, RunRecord) else read_run(run) for run in runs]
    places = [run.place for run in opened]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise UserError(f"{twice}: named twice; a run is not compared with itself")
    if len(opened) < 2:
        raise UserError("a comparison needs two runs or more")
    names = _names(opened)
    rows = [row for run, name in zip(opened, names, strict=True) for row in _rows(run, name)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    shares = [name for name in COLUMNS if name.startswith(("search_", "refit_", "test_"))]
    table = table.astype(dict.fromkeys(shares, float))  # None, where nothing is known yet, becomes NaN
    tested = [(run, name, run.tests[0]) for run, name in zip(opened, names, strict=True) if run.tests]
    splits: dict[str, list[tuple[RunRecord, str, TestResult]]] = {}
    for run, name, test in tested:
        splits.setdefault(test.split_hash, []).append((run, name, test))
    comparisons = [found for own in splits.values() if (found := _paired(own)) is not None]
    transfers = [_transfer_row(name, each) for run, name in zip(opened, names, strict=True) for each in run.transfers]
    aggregates, scored = aggregated(_tests(opened, names))
    return Across(
        table,
        comparisons,
        _notes(opened, splits),
        pd.DataFrame(transfers, columns=list(TRANSFER_COLUMNS)),
        aggregates,
        scored,
    )


def _transfer_row(name: str, each: Transfer) -> dict[str, Any]:
    own = each.scores
    return {
        "run": name,
        "config": each.config_id,
        "trained_on": each.trained_on,
        "tested_on": each.tested_on,
        "classes": len(each.shared),
        "images": own.images,
        "accuracy": own.accuracy.value,
        "low": own.accuracy.low,
        "high": own.accuracy.high,
        "balanced_accuracy": own.balanced_accuracy.value,
        "every": each.every.value,
        "every_low": each.every.low,
        "every_high": each.every.high,
        "home": None if each.home is None else each.home.accuracy.value,
    }


def _tests(runs: list[RunRecord], names: list[str]) -> list[tuple[str, str, TestResult]]:
    """Return (run, backbone, test) of what the rows of the table tell of, where it was tested."""
    found = []
    for run, name in zip(runs, names, strict=True):
        for backbone in run.settings.backbones:
            if (test := _chosen(run, backbone).test) is not None:
                found.append((name, backbone, test))
    return sorted(found, key=lambda each: each[2].role != "winner")  # of a run, its winner first


def _names(runs: list[RunRecord]) -> list[str]:
    """Return the names of the runs, with as much of their paths as tells them apart."""
    for parts in range(1, 20):
        names = ["/".join(run.folder.path.parts[-parts:]) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [str(run.folder.path) for run in runs]


def _rows(run: RunRecord, name: str) -> list[dict[str, Any]]:
    found = []
    for backbone in run.settings.backbones:
        trials = [row for row in run.rows if row["backbone"] == backbone]
        one = _chosen(run, backbone)
        test = one.test
        values = pd.Series(
            [] if one.refit is None else [each.val_accuracy for each in one.refit.completed], dtype=float
        )
        found.append(
            {
                "run": name,
                "dataset": run.settings.dataset.name,
                "backbone": backbone,
                "config": one.config_id,
                "trials": len(trials),
                "hours": sum(row["seconds"] or 0.0 for row in trials) / 3600,
                "search_accuracy": one.search_accuracy,
                "refit_accuracy": values.mean(),
                "refit_sd": values.std(),
                "seeds": len(values),
                "test_accuracy": test and test.accuracy.value,
                "test_low": test and test.accuracy.low,
                "test_high": test and test.accuracy.high,
                "test_images": test and test.images,
                "test_macro_f1": test and test.macro_f1.value,
                "openings": len(run.openings),
            }
        )
    return found


@dataclass(frozen=True)
class _Chosen:
    """The one configuration that a row tells of, as far as it has come."""

    config_id: str | None = None  # None: no trial has ended
    search_accuracy: float | None = None  # of its own trial; None where that failed or is not known
    refit: ConfigRefit | None = None
    test: TestResult | None = None


def _chosen(run: RunRecord, backbone: str) -> _Chosen:
    """Return what was chosen of ``backbone``: the winner that was tested, else the best refitted, else the best trial.

    What was tested only to be compared with the winner is not what its backbone is judged by.
    """
    tests = {test.config_id: test for test in reversed(run.tests)}  # the latest opening first: it stays
    refits = {each.config.config_id: each for each in run.refits}
    refit = best_refit(run, backbone)
    if run.tests and run.tests[0].backbone == backbone:
        test = run.tests[0]
        refit = refits.get(test.config_id)
        if refit is None:  # refitted anew since, by another plan
            own = (row for row in run.ranked if config_id(row["config"]) == test.config_id)
            return _Chosen(test.config_id, next((row["val_accuracy"] for row in own), None), None, test)
    if refit is not None:
        name = refit.config.config_id
        trial = next((row for row in run.rows if row["trial_id"] == refit.config.trial_id), None)
        searched = None if refit.config.search_value is None or trial is None else trial["val_accuracy"]
        return _Chosen(name, searched, refit, tests.get(name))
    best = next((row for row in run.ranked if row["backbone"] == backbone), None)
    return _Chosen() if best is None else _Chosen(config_id(best["config"]), best["val_accuracy"])


def _paired(tested: list[tuple[RunRecord, str, TestResult]]) -> Comparison | None:
    if len(tested) < 2:
        return None
    ranked = sorted(tested, key=lambda each: -each[2].accuracy.value)
    contenders, labels, groups = [], None, None
    for run, name, test in ranked:
        own = run.predictions(test.config_id)
        if labels is None:
            labels, groups = own.labels, sampled_groups(dataset_card(run), own.groups)
        contenders.append(Contender(f"{name}: {test.config_id}", test.origin, own.probabilities))
    assert labels is not None
    pairs = len(contenders) * (len(contenders) - 1) // 2  # the best was chosen on these images: any pair might be told
    return compare_paired(labels, contenders[0], contenders[1:], groups=groups, comparisons=pairs)


def _notes(runs: list[RunRecord], splits: dict[str, list[tuple[RunRecord, str, TestResult]]]) -> list[str]:
    notes = []
    datasets = {run.settings.dataset.content_hash for run in runs}
    if len(datasets) > 1:
        notes.append("These runs used different data: accuracies on different images do not rank the configurations.")
    budgets = {(run.settings.trials, run.settings.epochs) for run in runs}
    if len(budgets) > 1:
        notes.append("These runs had different budgets (trials, epochs).")
    if len({run.aim.column for run in runs}) > 1:
        told = ", ".join(dict.fromkeys(run.aim.meaning for run in runs))
        notes.append(f"These runs were judged by different things: {told}.")
    for own in splits.values():
        if len(own) > 1:
            notes.append(
                f"{len(own)} runs were tested on the same images. The best of them was chosen by its accuracy there: "
                "its lead is corrected for all pairs that might have been told, and still flatters it a little."
            )
    return notes
