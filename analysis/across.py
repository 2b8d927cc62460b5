"""Several runs beside each other: backbones, datasets; paired on the same images where they were tested on the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures import bars
from analysis.results import Comparison, TestResult
from analysis.run import ConfigRefit, RunRecord, read_run
from analysis.statistics.paired import Contender
from analysis.statistics.paired import compare as compare_paired
from fer_tune.errors import UserError

COLUMNS = (
    "run",
    "dataset",
    "backbone",
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


@dataclass(frozen=True)
class Across:
    """What `compare` returns.

    Attributes:
        table: a row per run and backbone, `COLUMNS`; shares in [0, 1], NaN for what is not done yet.
        comparisons: per held-out split that several runs tested on, the best of their winners against the others.
        notes: what to mind when reading the table.
    """

    table: pd.DataFrame
    comparisons: list[Comparison]
    notes: list[str]

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


def compare(runs: Sequence[RunRecord | str | Path]) -> Across:
    """Put several runs beside each other.

    Args:
        runs: at least two, opened or as paths.

    Raises:
        UserError: fewer than two, or one is no run.
    """
    opened = [run if isinstance(run, RunRecord) else read_run(run) for run in runs]
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
    return Across(table, comparisons, _notes(opened, splits))


def _names(runs: list[RunRecord]) -> list[str]:
    """Return the names of the runs, with as much of their paths as tells them apart."""
    for parts in range(1, 20):
        names = ["/".join(run.folder.path.parts[-parts:]) for run in runs]
        if len(set(names)) == len(names):
            return names
    return [str(run.folder.path) for run in runs]


def _rows(run: RunRecord, name: str) -> list[dict[str, Any]]:
    found = []
    test = run.tests[0] if run.tests else None
    for backbone in run.settings.backbones:
        trials = [row for row in run.rows if row["backbone"] == backbone]
        best = next((row for row in run.ranked if row["backbone"] == backbone), None)
        refits = [refit for refit in run.refits if refit.config.backbone == backbone and refit.values]
        refit: ConfigRefit | None = max(refits, key=lambda each: each.mean, default=None)
        own = test if test is not None and test.backbone == backbone else None
        values = pd.Series([] if refit is None else refit.values, dtype=float)
        found.append(
            {
                "run": name,
                "dataset": run.settings.dataset.name,
                "backbone": backbone,
                "trials": len(trials),
                "hours": sum(row["seconds"] or 0.0 for row in trials) / 3600,
                "search_accuracy": None if best is None else best["best_val_accuracy"],
                "refit_accuracy": values.mean(),
                "refit_sd": values.std(),
                "seeds": len(values),
                "test_accuracy": own and own.accuracy.value,
                "test_low": own and own.accuracy.low,
                "test_high": own and own.accuracy.high,
                "test_images": own and own.images,
                "test_macro_f1": own and own.macro_f1.value,
                "openings": len(run.openings),
            }
        )
    return found


def _paired(tested: list[tuple[RunRecord, str, TestResult]]) -> Comparison | None:
    if len(tested) < 2:
        return None
    ranked = sorted(tested, key=lambda each: -each[2].accuracy.value)
    contenders, labels = [], None
    for run, name, test in ranked:
        own = run.predictions(test.config_id)
        labels = own.labels if labels is None else labels
        contenders.append(Contender(f"{name}: {test.config_id}", test.origin, own.probabilities))
    assert labels is not None
    return compare_paired(labels, contenders[0], contenders[1:])


def _notes(runs: list[RunRecord], splits: dict[str, list[tuple[RunRecord, str, TestResult]]]) -> list[str]:
    notes = []
    datasets = {run.settings.dataset.content_hash for run in runs}
    if len(datasets) > 1:
        notes.append("These runs used different data: accuracies on different images do not rank the configurations.")
    budgets = {(run.settings.trials, run.settings.epochs) for run in runs}
    if len(budgets) > 1:
        notes.append("These runs had different budgets (trials, epochs).")
    for own in splits.values():
        if len(own) > 1:
            notes.append(
                f"{len(own)} runs were tested on the same images. The best of them was chosen by its accuracy there, "
                "so its lead over the others flatters it a little; the correction does not take that out."
            )
    return notes
