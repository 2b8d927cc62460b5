"""What there is to tell of a run, gathered once for the report, the tables for LaTeX and the model card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import starmap
from pathlib import Path
from typing import Any, get_args

from analysis.portable import portable
from analysis.report.telling.calibration import calibration_rows, scaled_words
from analysis.report.telling.combined import Combined, combined
from analysis.report.telling.errors import Examples, examples
from analysis.report.telling.exported import exported
from analysis.report.telling.findings import Standing, answer, chosen, footing, found_as, versus_method
from analysis.report.telling.limits import limits
from analysis.report.telling.luck import luck
from analysis.report.telling.openings import openings_sentences
from analysis.report.telling.own_budget import unlike_budgets
from analysis.report.telling.rows import (
    Compared,
    compared,
    cost_rows,
    leader_rows,
    open_settings,
    refit_rows,
    versus_rows,
)
from analysis.results import MORE, VIEW_NAMES, Corruptions, Scores, TestResult, Transfer
from analysis.run import RunRecord
from analysis.run.cards import dataset_card
from analysis.run.openings import Openings, openings_of, split_ledger
from analysis.trials.budget import savings_sentences
from analysis.trials.early_judgement import scheduler_words
from analysis.trials.importance import Importances, untold
from analysis.trials.pareto import HEADS, MEANINGS, pareto_rows, second_objective
from analysis.words import count, kept_text, percent, span, unit
from fer_tune.data.preparing.summary import hygiene_sentences
from fer_tune.objectives import ACCURACY
from fer_tune.run_folder import Status
from fer_tune.version import __version__


@dataclass(frozen=True)
class Facts:
    """What the report, the tables for LaTeX and the model card tell of a run: text, and rows of text by name."""

    title: str
    dataset: str
    judged: str  # what the run judges by, with its unit
    judged_head: str  # of a column with it; empty for accuracy, which has one anyway
    classes: list[str]
    place: str  # of the run, for a command that is typed elsewhere
    answer: str
    luck: str
    next_command: str
    found_as: str
    refits: list[dict[str, str]]
    leaders: list[dict[str, Any]]
    trials: int
    savings: list[str]
    compared: list[Compared]
    versus: list[dict[str, str]]
    versus_method: str
    pareto: Front | None
    open_settings: list[dict[str, str]]
    test: TestResult | None
    scores: list[dict[str, str]]
    views: list[dict[str, str]]
    combined: Combined | None
    confusion: list[tuple[str, list[int]]]  # each true class, and its counts
    calibration: list[dict[str, str]]  # of the winner: each measure before and after temperature scaling
    scaled: str  # what that does, in words
    costs: list[dict[str, str]]
    examples: Examples | None
    backbones: list[str]
    mattered: dict[str, str]  # of each backbone with enough random trials, in a sentence
    untold: str  # why nothing is said of the others
    corruptions: Corruptions | None
    transfers: list[Transfer]
    openings: list[dict[str, Any]]
    openings_said: list[str]  # what is to be known of them: faults of the records, other runs on the same images
    readings: list[dict[str, Any]]  # further ones, by the tested models
    how: list[tuple[str, str]]
    limits: list[str]
    trained: str  # for how many epochs the tested models were
    exported: str  # which model `fer-tune export` wrote or would write, and its own score
    version: str
    written: str


@dataclass(frozen=True)
class Front:
    """The trials that none beats in both objectives of a search, and what the second objective is."""

    rows: list[dict[str, str]]
    head: str
    meaning: str
    note: str


def gather(run: RunRecord, stand: Standing, mattered: list[Importances]) -> Facts:
    """Return what there is to tell of ``run``, as far as it is; lists are empty where it has nothing yet.

    Args:
        run: the run.
        stand: how far it is.
        mattered: of each backbone with enough random trials.
    """
    settings = run.settings
    test = stand.test
    known = openings_of(run, split_ledger(run))
    facts = Facts(
        title=settings.name,
        dataset=settings.dataset.name,
        judged=judged(run),
        judged_head="" if run.aim == ACCURACY else run.aim.meaning.removeprefix("validation "),
        classes=settings.dataset.classes,
        place=_place(run),
        answer=" ".join(filter(None, (answer(run, stand), footing(run, stand)))),
        luck=luck(run, stand),
        next_command=stand.next_command,
        found_as="" if test is None else found_as(run, test.origin),
        refits=refit_rows(stand.refits),
        leaders=leader_rows(run),
        trials=len(run.rows),
        savings=savings_sentences(run) if run.ranked else [],
        compared=compared(run, stand),
        versus=versus_rows(stand.comparison.pairs) if stand.comparison else [],
        versus_method=versus_method(run, stand),
        pareto=_front(run),
        open_settings=open_settings(run),
        test=test,
        scores=[] if test is None else score_rows(test),
        views=[] if test is None else view_rows(test),
        combined=combined(run),
        confusion=[] if test is None else _confusion(test),
        calibration=[] if test is None else calibration_rows(test),
        scaled="" if test is None else scaled_words(test),
        costs=cost_rows(stand),
        examples=None if test is None else examples(run, test),
        backbones=settings.backbones,
        mattered={each.backbone: each.sentence() for each in mattered},
        untold=untold(run),
        corruptions=run.corruptions,
        transfers=run.transfers,
        openings=known.own,
        openings_said=openings_sentences(known),
        readings=run.readings,
        how=how(run, stand, known),
        limits=[*limits(run, stand), *unlike_budgets(run)],
        trained="" if test is None else _epochs(test.epochs),
        exported=exported(run, stand),
        version=__version__,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    return portable(facts)


def judged(run: RunRecord) -> str:
    """Return what a run judges by, with its unit."""
    return f"{run.aim.meaning} in {unit(run.aim)}"


def _place(run: RunRecord) -> str:
    """Return the run as it is named on any machine: by its URI, or by its folder and the one that it is in."""
    path = Path(run.place)
    return f"{path.parent.name}/{path.name}" if path.is_absolute() else run.place


def _front(run: RunRecord) -> Front | None:
    settings = run.settings
    second = second_objective(settings)
    if second is None:
        return None
    rows = pareto_rows(run.rows, second, run.published_names, run.aim)
    note = f"{run.aim.title} in {unit(run.aim)}, at the best epoch, one seed each, and {MEANINGS[second]}"
    if second != "parameters" and settings.concurrent != 1:
        note += ", measured while other trials may have run beside it"
    return Front(rows, HEADS[second], MEANINGS[second], note) if rows else None


def score_rows(scores: Scores) -> list[dict[str, str]]:
    """Return every metric: its name, the mean over seeds, the interval, each seed, and the ensemble's."""
    first = {
        "accuracy": scores.accuracy,
        "balanced accuracy (macro recall)": scores.balanced_accuracy,
        "macro F1": scores.macro_f1,
    }
    rows = [(name, "", estimate) for name, estimate in first.items()]
    rows += [(text, name, scores.more[name]) for name, text in MORE.items() if name in scores.more]
    joint = scores.ensemble
    together: dict[str, float] = {}
    if joint is not None:
        main = (joint.accuracy, joint.balanced_accuracy, joint.macro_f1)
        together = dict(zip(first, main, strict=True)) | {MORE[name]: value for name, value in joint.more.items()}
    found = []
    for text, name, estimate in rows:
        if name in ("macro_recall", "weighted_recall"):
            continue  # the balanced accuracy, and the accuracy
        found.append(
            {
                "name": text,
                "value": kept_text(name, estimate.value),
                "interval": f"{kept_text(name, estimate.low)} to {kept_text(name, estimate.high)}",
                "each": ", ".join(kept_text(name, value) for value in estimate.per_seed),
                "ensemble": kept_text(name, together.get(text)),
            }
        )
    return found


def view_rows(test: TestResult) -> list[dict[str, str]]:
    """Return accuracy, balanced accuracy and macro F1 of each kind of views: of the seeds, and of their ensemble."""
    found = []
    kinds: list[tuple[str, Scores]] = [("image alone", test)]
    kinds += [(VIEW_NAMES.get(kind, kind), scores) for kind, scores in test.views.items()]
    for name, scores in kinds:
        cells = (scores.accuracy, scores.balanced_accuracy, scores.macro_f1)
        texts = [f"{percent(each.value)} ({span(each)})" for each in cells]
        found.append(_view(f"{name}, mean of seeds", texts))
        joint = scores.ensemble
        if joint is not None:
            own = f"{percent(joint.accuracy)} ({percent(joint.low)} to {percent(joint.high)})"
            texts = [own, percent(joint.balanced_accuracy), percent(joint.macro_f1)]
            found.append(_view(f"{name}, ensemble of the seeds", texts))
    return found


def _view(name: str, texts: list[str]) -> dict[str, str]:
    return dict(zip(("name", "accuracy", "balanced", "f1"), (name, *texts), strict=True))


def _confusion(test: TestResult) -> list[tuple[str, list[int]]]:
    """Return the counts summed over seeds, of each true class."""
    classes = range(len(test.classes))
    total = [[sum(seed[row][column] for seed in test.confusion) for column in classes] for row in classes]
    return list(zip(test.classes, total, strict=True))


def _asked(name: str, value: Any) -> str:
    if name == "data":
        return "data moved"  # to a place on somebody's machine
    told = " ".join(value) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {told}"


def how(run: RunRecord, stand: Standing, known: Openings) -> list[tuple[str, str]]:
    """Return how the figures were obtained, as (name, text)."""
    settings = run.settings
    status = [row["status"] for row in run.rows]
    parts = [f"{status.count(name)} {name.replace('_', ' ')}" for name in get_args(Status) if name in status]
    spent = sum(row["seconds"] or 0 for row in run.rows)
    budget = f"{settings.trials} trials for each of {', '.join(settings.backbones)}, {settings.epochs} epochs at most"
    budget += f"; {len(run.rows)} started ({', '.join(parts)}), {spent / 3600:.2f} hours of training in all"
    if settings.time_budget_seconds:
        budget += f"; stopped after {settings.time_budget_seconds / 60:.0f} minutes"
    for entry in settings.resumed:
        changed = ", ".join(_asked(name, value) for name, value in entry.changed.items())
        budget += f"; changed on {entry.when[:10]}: {changed}"
    found = [
        ("judged by", judged(run)),
        ("search", budget),
        ("early stopping", scheduler_words(settings)),
        ("search seed", str(settings.seed)),
    ]
    plan, final = run.refit_plan, run.final_plan
    if plan is not None:
        seeds = ", ".join(map(str, plan.seeds))
        words = (
            f"{count(len(plan.configs), 'configuration')}, seeds {seeds}, {plan.epochs} epochs, on the training split"
        )
        own = [f"{config.origin} {config.epochs}" for config in plan.configs if config.epochs]
        words += f"; for the epochs of their papers: {', '.join(own)}" if own else ""
        found.append(("refits", words))
    if final is not None:
        told = ", ".join(f"{config.config_id} for {config.stop_epoch} epochs" for config in final.configs)
        rule = "the median best epoch on train alone"
        if plan is not None and final.epochs != plan.epochs:
            rule += f", as a share of a schedule of {final.epochs} epochs"
        words = f"on train and val together, the epoch fixed before as {rule}: {told}"
        found.append(("last training", words))
    if stand.test is not None:
        found += [("choice", chosen(stand)), ("intervals", stand.test.method)]
    reads = len(known.own)
    found.append(
        ("held-out split", "not read yet" if not reads else f"read {'once' if reads == 1 else f'{reads} times'}")
    )
    found.append(("dataset", f"{settings.dataset.name}, content {settings.dataset.content_hash[:16]}"))
    card = dataset_card(run)
    if card is None:
        found.append(("data hygiene", "unknown here: the prepared dataset is not where the run found it"))
    else:
        counts = ", ".join(f"{card.images(split):,} {split}" for split in card.counts)
        found.append(("images", counts))
        found += [_named(line) for line in hygiene_sentences(card)]
    if told := exported(run, stand):
        found.append(("exported", told))
    versions = [f"{name} {version}" for name, version in settings.versions.items()]
    found.append(("versions", ", ".join(versions) or "not known"))
    if stand.test is not None and stand.test.commit not in ("", settings.versions.get("commit")):
        found.append(("tested at", f"commit {stand.test.commit}, fer-tune {stand.test.fer_tune}"))
    found.append(("hardware", ", ".join(starmap(_hardware, settings.hardware.items())) or "not known"))
    return found


def _epochs(epochs: list[int]) -> str:
    """Return for how many epochs the models of the seeds were trained: fewer than planned where they stopped early."""
    if not epochs:
        return "epochs not on record"
    if min(epochs) == max(epochs):
        return count(epochs[0], "epoch")
    return f"{min(epochs)} to {max(epochs)} epochs"


_UNITS = {"cpus": ("CPU", "CPUs"), "gpus": ("GPU", "GPUs"), "nodes": ("node", "nodes")}


def _hardware(name: str, value: str) -> str:
    """Return one fact of a machine with its unit: ``2 CPUs``, ``14 GiB of memory``."""
    if name == "memory_gib":
        return f"{value} GiB of memory"
    if name in _UNITS:
        number, _, kind = value.partition(" ")
        return f"{number} {_UNITS[name][number != '1']}" + (f" ({kind})" if kind else "")
    return value if name == "machine" else f"{name}: {value}"


def _named(line: str) -> tuple[str, str]:
    name, colon, text = line.partition(": ")
    return (name, text) if colon else ("data", line)
