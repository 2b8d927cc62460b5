"""What there is to tell of a run, gathered once for the report, the tables for LaTeX and the model card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.portable import portable
from analysis.report.telling.calibration import calibration_rows, scaled_words
from analysis.report.telling.combined import Combined, combined
from analysis.report.telling.errors import Examples, examples
from analysis.report.telling.exported import exported
from analysis.report.telling.findings import Standing, answer, footing, found_as, versus_method
from analysis.report.telling.limits import limits
from analysis.report.telling.luck import luck
from analysis.report.telling.obtained import how, judged
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
from analysis.run.openings import openings_of, split_ledger
from analysis.trials.budget import savings_sentences
from analysis.trials.importance import Importances, untold
from analysis.trials.one_seed import one_seed_sentence
from analysis.trials.pareto import HEADS, MEANINGS, pareto_rows, second_objective
from analysis.words import kept_text, percent, span, unit
from fer_tune.amounts import amount
from fer_tune.objectives import ACCURACY
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
    footing: str  # what a comparison with published configurations means; empty without one
    luck: str
    next_command: str
    found_as: str
    refits: list[dict[str, str]]
    leaders: list[dict[str, Any]]
    leading: str  # how far the accuracy of the first of them may be trusted
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
        answer=answer(run, stand),
        footing=footing(run, stand),
        luck=luck(run, stand),
        next_command=stand.next_command,
        found_as="" if test is None else found_as(run, test.origin),
        refits=refit_rows(stand.refits),
        leaders=leader_rows(run),
        leading=one_seed_sentence(run, run.ranked),
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
        main = (joint.accuracy.value, joint.balanced_accuracy.value, joint.macro_f1.value)
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
            of_joint = (joint.accuracy, joint.balanced_accuracy, joint.macro_f1)
            texts = [f"{percent(each.value)} ({span(each)})" for each in of_joint]
            found.append(_view(f"{name}, ensemble of the seeds", texts))
    return found


def _view(name: str, texts: list[str]) -> dict[str, str]:
    return dict(zip(("name", "accuracy", "balanced", "f1"), (name, *texts), strict=True))


def _confusion(test: TestResult) -> list[tuple[str, list[int]]]:
    """Return the counts summed over seeds, of each true class."""
    classes = range(len(test.classes))
    total = [[sum(seed[row][column] for seed in test.confusion) for column in classes] for row in classes]
    return list(zip(test.classes, total, strict=True))


def _epochs(epochs: list[int]) -> str:
    """Return for how many epochs the models of the seeds were trained: fewer than planned where they stopped early."""
    if not epochs:
        return "epochs not on record"
    if min(epochs) == max(epochs):
        return amount(epochs[0], "epoch")
    return f"{min(epochs)} to {max(epochs)} epochs"
