"""Rows of a report's tables, as text: published and searched configurations, refits, leaders, costs, open settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from analysis.report.telling.findings import Standing, searched_trials
from analysis.report.telling.own_budget import own_budget_of
from analysis.results import Versus
from analysis.run import ConfigRefit, PublishedTrial, RunRecord
from analysis.trials.budget import epochs_of
from analysis.words import mean_sd, p_text, percent, points, settings_text, span, told
from fer_tune.amounts import amount
from fer_tune.kinds import TOO_LARGE

LEADERS = 10  # trials on the leaderboard before a reader asks for all


@dataclass(frozen=True)
class Compared:
    """A line of the comparison with the published configurations; all figures in per cent, as text."""

    name: str
    backbone: str
    reported: str
    search: str
    refit: str
    test: str
    budget: str
    kind: str  # "published" or "searched"
    config_id: str = ""  # of its refit


def compared(run: RunRecord, stand: Standing) -> list[Compared]:
    """Return the published configurations of the run, then the searched one beside them."""
    names = run.published_names
    rows = []
    for entry in run.published:
        rows.append(_published_row(run, stand, entry))
        own = own_budget_of(stand, entry)
        if own is not None:
            refitted, tested = _seeds_and_test(stand, own)
            budget = f"refitted for {amount(own.config.epochs or 0, 'epoch')}, as its paper has it"
            name = own.config.config_id
            rows.append(replace(rows[-1], search="–", refit=refitted, test=tested, budget=budget, config_id=name))
    best = stand.winner.config if stand.winner else None
    if best is not None and best.origin in names:  # a published one wins: the best searched one stands beside it
        searched = [refit for refit in stand.refits if refit.config.origin not in names and refit.values]
        best = max(searched, key=lambda refit: refit.key).config if searched else None
    if best is not None:
        trial = next((row for row in run.rows if row["trial_id"] == best.trial_id), None)
        rows.append(_searched_row(run, stand, best.config_id, best.backbone, trial))
    elif stand.winner is None:
        found = next((row for row in run.ranked if row["origin"] not in names), None)
        if found is not None:
            rows.append(_searched_row(run, stand, found["trial_id"], found["backbone"], found))
    return rows


def _searched_row(run: RunRecord, stand: Standing, name: str, backbone: str, trial: dict[str, Any] | None) -> Compared:
    refit = next((r for r in stand.refits if r.config.config_id == name), None)
    value = None if trial is None else trial[run.aim.column]
    budget = f"chosen from {amount(searched_trials(run), 'trial')}; {_epochs(run, trial)}"
    return Compared(
        f"searched: {name}",
        backbone,
        "",
        told(value, run.aim),
        *_seeds_and_test(stand, refit),
        budget,
        "searched",
        name,
    )


def _published_row(run: RunRecord, stand: Standing, entry: PublishedTrial) -> Compared:
    published, trial = entry.published, entry.trial
    if not same_dataset(published.dataset, run.settings.dataset.name):
        reported = f"for {published.dataset}, not this dataset"
    elif published.reported:
        reported = "; ".join(f"{value:g} ({name.replace('_', ' ')})" for name, value in published.reported.items())
    else:
        reported = "none"
    refit = refit_of(stand, entry)
    value = None if trial is None else trial[run.aim.column]
    return Compared(
        published.name,
        entry.backbone,
        reported,
        told(value, run.aim),
        *_seeds_and_test(stand, refit),
        _epochs(run, trial),
        "published",
        "" if refit is None else refit.config.config_id,
    )


def refit_of(stand: Standing, entry: PublishedTrial) -> ConfigRefit | None:
    """Return the refit of a published configuration: of its trial, or by its name where no trial gave a result."""
    for refit in stand.refits:
        config = refit.config
        if config.epochs:
            continue
        if entry.trial is not None and config.trial_id == entry.trial["trial_id"]:
            return refit
        if config.origin == entry.published.name and config.backbone == entry.backbone:
            return refit
    return None


def _seeds_and_test(stand: Standing, refit: ConfigRefit | None) -> tuple[str, str]:
    if refit is None:
        return "not refitted", "–"
    text = mean_sd(refit.values, refit.aim)
    if refit.failed:
        text += f", {amount(len(refit.failed), 'seed')} failed"
    test = stand.tested(refit.config.config_id)
    if test is not None:
        return text, f"{percent(test.accuracy.value)} ({span(test.accuracy)})"
    before = next((each for each in stand.earlier if each.config_id == refit.config.config_id), None)
    if before is None:
        return text, "–"
    return text, f"{percent(before.accuracy.value)} ({span(before.accuracy)}), in opening {before.opening}"


def _epochs(run: RunRecord, trial: dict[str, Any] | None) -> str:
    if trial is None:
        return "did not run in the search"
    text = f"{trial['epochs']} of {epochs_of(run, trial)} epochs in the search"
    if trial["status"] == TOO_LARGE:
        return f"does not fit into memory: {trial['error']}"
    if trial["status"] == "failed":
        return f"failed: {trial['error'] or 'it is not known why'}"
    return f"{text}, stopped early" if trial["status"] == "stopped" else text


def same_dataset(first: str, second: str) -> bool:
    """Return whether two names mean one dataset: case and punctuation do not count."""

    def plain(name: str) -> str:
        return "".join(c for c in name.lower() if c.isalnum())

    return plain(first) == plain(second)


def versus_rows(pairs: list[Versus]) -> list[dict[str, str]]:
    """Return the comparisons on the same images, differences in points."""
    return [
        {
            "against": f"{pair.second_origin}: {pair.second}",
            "difference": _change(pair.difference, pair.low, pair.high),
            "p": p_text(pair.p),
            "macro_f1": _change(pair.macro_f1_difference, pair.macro_f1_low, pair.macro_f1_high),
            "macro_f1_p": p_text(pair.macro_f1_p),
            "trained": f"{p_text(pair.trained.p)} ({pair.trained.only_first} : {pair.trained.only_second})",
            "words": pair.words,
        }
        for pair in pairs
    ]


def _change(value: float, low: float, high: float) -> str:
    return f"{points(value)} ({points(low)} to {points(high)})"


def refit_rows(refits: list[ConfigRefit]) -> list[dict[str, str]]:
    """Return every refitted configuration, the best mean first."""
    return [
        {
            "id": refit.config.config_id,
            "origin": refit.config.origin,
            "search": told(refit.config.search_value, refit.aim),
            "mean": mean_sd(refit.values, refit.aim),
            "each": ", ".join(
                [told(value, refit.aim) for value in refit.values]
                + ["failed"] * len(refit.failed)
                + ["to do"] * len(refit.missing)
            ),
            "settings": settings_text(refit.config.config),
        }
        for refit in by_mean(refits)
    ]


def by_mean(refits: list[ConfigRefit]) -> list[ConfigRefit]:
    """Return the refits, the best mean first, those without a result last."""
    return sorted(refits, key=lambda refit: -refit.key)


def leader_rows(run: RunRecord) -> list[dict[str, Any]]:
    """Return the trials of the search: the best first, then those without an accuracy in the order of their start."""
    ranked = run.ranked
    known = {row["trial_id"] for row in ranked}
    return [
        {
            **{name: row[name] for name in ("trial_id", "backbone", "origin", "status", "epochs")},
            "value": told(row[run.aim.column], run.aim),
            "accuracy": percent(row["val_accuracy"]),
            "settings": settings_text(row["config"]),
        }
        for row in [*ranked, *(row for row in run.rows if row["trial_id"] not in known)]
    ]


def open_settings(run: RunRecord) -> list[dict[str, str]]:
    """Return what papers leave open and this run chose, and why: a row per published configuration and field.

    What is no setting, such as the layers of a network, has no value of its own.
    """
    return [
        {
            "published": entry.published.name,
            "field": name,
            "value": _trained(entry) if name == "epochs" else _value(entry.published.config.get(name)),
            "why": why,
        }
        for entry in run.published
        for name, why in entry.published.chosen.items()
    ]


def _trained(entry: PublishedTrial) -> str:
    """Return how many epochs a published configuration was trained for here, which the search bounds."""
    named = _value(entry.published.config.get("epochs"))
    return named if entry.trial is None else f"{entry.trial['epochs']} trained, {named} named"


def _value(value: Any) -> str:
    return "–" if value is None else str(value)


def cost_rows(stand: Standing) -> list[dict[str, str]]:
    """Return size and speed of every tested configuration that was measured."""
    tests = [] if stand.test is None else [stand.test, *stand.beside]
    found = []
    for test in tests:
        if test.cost is not None:
            cost = test.cost
            found.append(
                {
                    "id": test.config_id,
                    "parameters": f"{cost.parameters:,}",
                    "latency": f"{cost.latency_ms:.2f} ({cost.latency_low_ms:.2f} to {cost.latency_high_ms:.2f})",
                    "speed": f"{cost.images_per_second:,.0f}",
                    "device": cost.device,
                }
            )
    return found
