"""The figure of the published configurations beside the searched one: on the held-out split once they are tested."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.figures.bars import Bar
from analysis.report.telling.findings import Standing
from analysis.report.telling.own_budget import own_budget_of
from analysis.report.telling.rows import compared, refit_of, same_dataset
from analysis.results import TestResult
from analysis.run import ConfigRefit, PublishedTrial, RunRecord
from fer_tune.amounts import amount
from fer_tune.objectives import ACCURACY

_TITLE = "Published configurations and the searched one"


@dataclass(frozen=True)
class BarChart:
    """The bars, and which images they are of, in words."""

    rows: list[Bar]
    title: str
    caption: str
    label: str  # of the axis
    scale: float = 100.0  # of the values: shares are shown in per cent


def comparison(run: RunRecord, stand: Standing) -> BarChart:
    """Return the comparison on the held-out split where that has been made, else on validation.

    Held-out figures need the searched configuration and a published one in the same opening; the two splits are never
    shown side by side.
    """
    searched = _searched(run, stand)
    own = None if searched is None else stand.tested(searched.config.config_id)
    tests = [(entry, _tested(stand, entry)) for entry in run.published]
    tested = [(entry, test) for entry, test in tests if test is not None]
    if own is None or not tested:
        rows = _validation(run, stand, searched)
        caption = f"{run.aim.title} here, of the published configurations and the searched one{_squares(rows)}."
        return BarChart(rows, f"{_TITLE}, on validation", caption, run.aim.label, run.aim.scale)
    rows = []
    for entry, test in tested:
        rows += [*_reported(run, entry), _test_bar(entry.published.name, test, "published")]
        own_budget = own_budget_of(stand, entry)
        if own_budget is not None and (other := stand.tested(own_budget.config.config_id)) is not None:
            epochs = amount(own_budget.config.epochs or 0, "epoch")
            rows.append(_test_bar(f"{entry.published.name}, its own {epochs}", other, "published"))
    rows.append(_test_bar(f"searched: {own.backbone}", own, "searched"))
    caption = (
        "Held-out accuracy here with 95 % intervals, of the published configurations and the searched one, on the same "
        f"{own.images:,} images: a dot per seed, a bar at their mean{_squares(rows)}."
    )
    left = [entry.published.name for entry, test in tests if test is None]
    if left:
        caption += f" Not tested, and so not shown: {', '.join(left)}."
    return BarChart(rows, f"{_TITLE}, on the held-out split", caption, "accuracy (%, 95 % intervals)")


def _squares(rows: list[Bar]) -> str:
    reported = any(row.kind == "reported" for row in rows)
    return "; squares are what papers report of their own test splits" if reported else ""


def refit_bar(run: RunRecord, refit: ConfigRefit, name: str) -> Bar:
    """Return the bar of a configuration's refits on validation."""
    kind = "published" if refit.config.origin in run.published_names else "searched"
    return Bar(name, refit.mean, points=tuple(refit.values), kind=kind)


def _tested(stand: Standing, entry: PublishedTrial) -> TestResult | None:
    refit = refit_of(stand, entry)
    return None if refit is None else stand.tested(refit.config.config_id)


def _test_bar(name: str, test: TestResult, kind: str) -> Bar:
    seeds = test.accuracy.per_seed
    text = f"{name}\nhere, held-out, {amount(len(seeds), 'seed')}"
    return Bar(text, test.accuracy.value, test.accuracy.low, test.accuracy.high, tuple(seeds), kind)


def _reported(run: RunRecord, entry: PublishedTrial) -> list[Bar]:
    """Return the paper's own figure, where it is of this dataset."""
    published = entry.published
    reported = published.reported.get("test_accuracy")
    if reported is None or not same_dataset(published.dataset, run.settings.dataset.name):
        return []
    return [Bar(f"{published.name}\nreported, on its own test split", reported / 100, kind="reported")]


def _searched(run: RunRecord, stand: Standing) -> ConfigRefit | None:
    row = next((row for row in compared(run, stand) if row.kind == "searched"), None)
    return next((refit for refit in stand.refits if row and refit.config.config_id == row.config_id), None)


def _validation(run: RunRecord, stand: Standing, searched: ConfigRefit | None) -> list[Bar]:
    rows = []
    for entry in run.published:
        published, trial = entry.published, entry.trial
        rows += _reported(run, entry) if run.aim == ACCURACY else []
        refit = refit_of(stand, entry)
        if refit is not None and refit.values:
            rows.append(
                refit_bar(run, refit, f"{published.name}\nhere, validation, {amount(len(refit.values), 'seed')}")
            )
        elif trial is not None and trial[run.aim.column] is not None:
            text = f"{published.name}\nhere, validation, one seed, {amount(trial['epochs'], 'epoch')}"
            rows.append(Bar(text, trial[run.aim.column], kind="published"))
        own = own_budget_of(stand, entry)
        if own is not None and own.values:
            name = f"{published.name}, its own {amount(own.config.epochs or 0, 'epoch')}"
            rows.append(refit_bar(run, own, f"{name}\nhere, validation, {amount(len(own.values), 'seed')}"))
    if searched is not None and searched.values:
        text = f"searched: {searched.config.backbone}\nhere, validation, {amount(len(searched.values), 'seed')}"
        rows.append(refit_bar(run, searched, text))
    elif stand.winner is None:
        best = next((row for row in run.ranked if row["origin"] not in run.published_names), None)
        if best is not None:
            text = f"searched: {best['backbone']}\nhere, validation, best of many, one seed"
            rows.append(Bar(text, best[run.aim.column]))
    return rows
