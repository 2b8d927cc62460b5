"""What a run shows, in words and rows: the answer, the leaderboard, the comparison with the published, the limits."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from analysis.results import Estimate, TestResult
from analysis.run import ConfigRefit, PublishedTrial, Run
from analysis.selection import select_winner
from analysis.statistics import mean_interval
from fer_tune.config import FIELDS
from fer_tune.errors import UserError
from fer_tune.run_folder import RefitResult


def percent(value: float | None) -> str:
    """Return a share in [0, 1] as per cent with one decimal, without the sign; an en dash for none."""
    return "–" if value is None or value != value else f"{100 * value:.1f}"


def span(estimate: Estimate) -> str:
    """Return ``61.9 to 64.3``, the bounds of an interval in per cent."""
    return f"{percent(estimate.low)} to {percent(estimate.high)}"


def mean_sd(values: list[float]) -> str:
    """Return ``63.1 ± 0.4`` in per cent: mean and standard deviation over seeds."""
    if not values:
        return "–"
    mean = percent(statistics.fmean(values))
    return f"{mean} ± {percent(statistics.stdev(values))}" if len(values) > 1 else mean


def settings_text(config: dict[str, Any]) -> str:
    """Return the settings of a configuration in one line, in the order of `config.FIELDS`."""
    shown = [name for name in FIELDS if config.get(name) is not None and name not in ("backbone", "epochs", "seed")]
    return ", ".join(f"{name} {_short(config[name])}" for name in shown)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def count(number: int, noun: str) -> str:
    """Return ``1 seed`` or ``3 seeds``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@dataclass(frozen=True)
class Standing:
    """How far a run is: searched, refitted, tested; and the command that comes next (empty at the end)."""

    test: TestResult | None
    refits: list[ConfigRefit]
    winner: ConfigRefit | None
    next_command: str


def standing(run: Run) -> Standing:
    """Find out how far ``run`` is."""
    tests = run.tests
    refits = run.refits
    winner = None
    step = f"fer-tune refit {run.folder.path}"
    if refits:
        try:
            winner = select_winner(run).winner
            step = f"fer-tune test {run.folder.path}"
        except UserError:  # refits are missing: the next command is still to refit
            pass
    if not run.ranked or (not refits and any(row["status"] == "running" for row in run.rows)):
        step = f"fer-tune resume {run.folder.path}"
    return Standing(tests[0] if tests else None, refits, winner, "" if tests else step)


def answer(run: Run, stand: Standing) -> str:
    """Return the run's answer in one sentence (two where a warning belongs to it), with its interval."""
    data = run.settings.dataset.name
    if stand.test is not None:
        test = stand.test
        kind = "found by the search" if test.origin == "sampled" else f"as published ({test.origin})"
        seeds = f"mean of {len(test.seeds)} seeds" if len(test.seeds) > 1 else "one seed"
        return (
            f"A {test.backbone} {kind} classifies {percent(test.accuracy.value)} % of the {test.images:,} held-out "
            f"images of {data} correctly (95 % interval {span(test.accuracy)}; {seeds})."
        )
    if stand.winner is not None:
        values = stand.winner.values
        bounds = mean_interval(values)
        seeds = f"95 % interval over seeds {percent(bounds.low)} to {percent(bounds.high)}; mean of {len(values)} seeds"
        return (
            f"A {stand.winner.config.backbone} reaches {percent(bounds.estimate)} % on the validation images of {data} "
            f"({seeds if len(values) > 1 else 'one seed, so no interval'}); the held-out split has not been read yet."
        )
    if run.ranked:
        best = run.ranked[0]
        return (
            f"The best of {len(run.rows)} trials, a {best['backbone']}, reached {percent(best['best_val_accuracy'])} % "
            f"on the validation images of {data}; being the best of many, with one seed, it flatters itself, and no "
            "interval can be given before it is refitted."
        )
    return f"No trial of this search on {data} has ended yet."


def luck(run: Run, stand: Standing) -> str:
    """Return what choosing the best of many had promised too much, in words; empty before the refits end."""
    if stand.winner is None or not stand.winner.values:
        return ""
    refit = stand.winner
    if refit.config.search_val_accuracy is None:
        return ""
    loss = refit.config.search_val_accuracy - refit.mean
    promised = f"In the search this configuration had {percent(refit.config.search_val_accuracy)} % on validation"
    outcome = f"with {count(len(refit.values), 'new seed')} it has {mean_sd(refit.values)} %"
    plan = run.refit_plan
    if plan is not None and plan.epochs != run.settings.epochs:
        return f"{promised}; refitted for {plan.epochs} epochs instead of {run.settings.epochs}, {outcome}."
    if loss > 0:
        return f"{promised}; {outcome}: {100 * loss:.1f} points less, the luck that choosing the best of many picks up."
    return f"{promised}; {outcome}: nothing of the search's figure was luck."


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


def compared(run: Run, stand: Standing) -> list[Compared]:
    """Return the published configurations of the run, then the searched one that stands for it."""
    rows = [_published_row(run, stand, entry) for entry in run.published]
    best = stand.winner.config if stand.winner else None
    if best is not None and best.origin == "sampled":
        trial = next((row for row in run.rows if row["trial_id"] == best.trial_id), None)
        rows.append(_searched_row(run, stand, best.config_id, best.backbone, trial))
    elif best is None:
        sampled = next((row for row in run.ranked if row["origin"] == "sampled"), None)
        if sampled is not None:
            rows.append(_searched_row(run, stand, sampled["trial_id"], sampled["backbone"], sampled))
    return rows


def _searched_row(run: Run, stand: Standing, name: str, backbone: str, trial: dict[str, Any] | None) -> Compared:
    refit, test = _seeds_and_test(stand, None if trial is None else trial["trial_id"])
    value = None if trial is None else trial["best_val_accuracy"]
    budget = f"chosen among {count(len(run.rows), 'trial')}; {_epochs(run, trial)}"
    return Compared(f"searched: {name}", backbone, "", percent(value), refit, test, budget, "searched")


def _published_row(run: Run, stand: Standing, entry: PublishedTrial) -> Compared:
    published, trial = entry.published, entry.trial
    same = _plain(published.dataset) == _plain(run.settings.dataset.name)
    if not same:
        reported = f"for {published.dataset}, not this dataset"
    elif published.reported:
        reported = "; ".join(f"{value:g} ({name.replace('_', ' ')})" for name, value in published.reported.items())
    else:
        reported = "none"
    refit, test = _seeds_and_test(stand, None if trial is None else trial["trial_id"])
    value = None if trial is None else trial["best_val_accuracy"]
    return Compared(
        published.name, entry.backbone, reported, percent(value), refit, test, _epochs(run, trial), "published"
    )


def _seeds_and_test(stand: Standing, trial_id: str | None) -> tuple[str, str]:
    refit = next((r for r in stand.refits if r.config.trial_id == trial_id), None)
    if refit is None:
        return "not refitted", "–"
    test = stand.test
    if test is None or test.config_id != refit.config.config_id:
        return mean_sd(refit.values), "–"
    return mean_sd(refit.values), f"{percent(test.accuracy.value)} ({span(test.accuracy)})"


def _epochs(run: Run, trial: dict[str, Any] | None) -> str:
    if trial is None:
        return "did not run"
    text = f"{trial['epochs']} of {run.settings.epochs} epochs in the search"
    if trial["status"] == "failed":
        return f"failed: {trial['error']}"
    return f"{text}, stopped early" if trial["status"] == "stopped" else text


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def limits(run: Run, stand: Standing) -> list[str]:
    """Return what the figures do not show, so that nobody has to find out."""
    found = []
    if stand.test is not None:
        data = run.settings.dataset.name
        found.append(f"The interval is for images like {data}'s; nothing here tells how images of another origin fare.")
        reads = len(run.openings)
        if reads > 1:
            found.append(
                f"The held-out split was read {reads} times in this run, so the later figures are no longer those of a "
                "split that nothing had read."
            )
    else:
        found.append("The held-out split has not been read: every figure is of images that played a part in choosing.")
    if run.ranked:
        found.append(
            "Accuracies on validation are those of the best epoch, which was chosen on the same images, and so flatter "
            "a little; they serve to choose, not to report."
        )
    failed = [result for refit in stand.refits for result in refit.failed]
    if failed:
        words = f"{count(len(failed), 'refit')} failed, also when tried again, and are missing from the means"
        found.append(f"{words}: {_names(failed)}.")
    diverged = [result for refit in stand.refits for result in refit.completed if result.error]
    if diverged:
        words = f"{count(len(diverged), 'refit')} diverged and count with what they had reached"
        found.append(f"{words}: {_names(diverged)}.")
    if any(entry.trial is not None for entry in run.published):
        found.append(
            "A published configuration ran here with this run's data, epochs and training code, and where its paper "
            "leaves a setting open, ours fills it: this does not rank the published systems as a whole."
        )
    if any(entry.published.reported for entry in run.published):
        found.append(
            "A paper's reported figure is not like for like: papers differ in splits, duplicates and budget, and many "
            "keep the epoch that did best on the test split."
        )
    if run.settings.trials < 30:
        trials = count(run.settings.trials, "trial")
        found.append(f"With {trials} per backbone the space is explored thinly; better settings may exist.")
    return found


def _names(results: list[RefitResult]) -> str:
    return ", ".join(f"{result.config_id} seed {result.seed}" for result in results)
