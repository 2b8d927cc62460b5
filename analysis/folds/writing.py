"""The report of a run over folds: each fold, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.folds.result import FoldsResult
from analysis.report.form.blocks import Block, Column, Note, Paragraph, Report, Section, Table, quiet, row, text
from analysis.report.form.rendering import as_html, as_markdown
from analysis.report.writing import Written
from analysis.results import MORE
from analysis.words import percent, span
from fer_tune.filing.files import replacing


@dataclass(frozen=True)
class Standing:
    """A run over folds, as far as it is."""

    name: str
    dataset: str
    folder: Path  # of the report
    result: FoldsResult | None
    next: str  # what is to be done, in a sentence
    first: str  # name of the folder of the first fold's run, in that of the run


def write_folds_report(stand: Standing) -> Written:
    """Write the report; what is still to be done is said in it."""
    answer = stand.next if stand.result is None else answer_of(stand.result)
    opening: list[Block] = [Paragraph(text(answer), "answer")]
    report = Report(f"{stand.name}: {stand.dataset} in folds", opening, _sections(stand))
    for name, content in (("report.html", as_html(report)), ("report.md", as_markdown(report))):
        with replacing(stand.folder / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return Written(stand.folder / "report.html", stand.folder / "report.md", [], answer)


_ABOUT = (
    "Every person is held out in one fold, and tested by models that were searched, chosen and trained without them. "
    "The folds share most of their training people, so an interval says nothing of others to train on: from the folds "
    "no unbiased variance for that can be had (Bengio and Grandvalet 2004, JMLR 5:1089)."
)


def answer_of(result: FoldsResult) -> str:
    """Return what a run over folds came to, in one sentence."""
    accuracy = result.pooled.accuracy
    return (
        f"{percent(accuracy.value)} % of {result.pooled.images:,} images of {result.people:,} people are right (95 % "
        f"interval for other people: {span(accuracy)}); over {len(result.folds)} folds the mean is "
        f"{percent(result.mean)} %, with a standard deviation of {100 * result.sd:.1f} between them."
    )


def folds_table(result: FoldsResult) -> Table:
    """Return a row for each fold."""
    columns = [
        Column("fold"),
        *(Column(name, "right") for name in ("people", "images", "refits, on validation", "held out, %")),
        Column("winner of the fold"),
        Column("seeds", "right"),
        Column("openings", "right"),
    ]
    rows = [
        row(
            fold.fold,
            f"{fold.people:,}",
            f"{fold.images:,}",
            fold.validation,
            percent(fold.accuracy),
            f"{fold.config_id} ({fold.origin})",
            str(fold.seeds),
            str(fold.openings),
        )
        for fold in result.folds
    ]
    return Table(columns, rows)


def scores_table(result: FoldsResult) -> Table:
    """Return the metrics of all folds together."""
    columns = [Column("metric"), Column("all folds", "right"), Column("95 % interval", "right")]
    scores = result.pooled
    found = {
        "accuracy": scores.accuracy,
        "balanced accuracy": scores.balanced_accuracy,
        "macro F1": scores.macro_f1,
        **{MORE[name]: scores.more[name] for name in ("macro_auc", "macro_precision", "macro_specificity")},
    }
    return Table(columns, [row(name, percent(one.value), span(one)) for name, one in found.items()])


def _sections(stand: Standing) -> list[Section]:
    result = stand.result
    if result is None:
        return [Section("Still to be done", [Note(text(stand.next))])]
    again = max(fold.openings for fold in result.folds)
    warned: list[Block] = []
    if again > 1:
        told = f"A held-out split was opened {again} times; only its first reading was of people that nothing had seen."
        warned = [Paragraph(text(told), "warning")]
    scores = result.pooled
    columns = [Column("class"), *(Column(name, "right") for name in ("images", "recall", "95 % interval"))]
    recalls = ((each.name, each.support, each.recall) for each in scores.per_class)
    classes = [row(name, f"{images:,}", percent(recall.value), span(recall)) for name, images, recall in recalls]
    names = [Column("true class"), *(Column(name, "right") for name in scores.classes)]
    named = zip(scores.classes, np.mean(scores.confusion, axis=0), strict=True)
    counts = [row(name, *(f"{value:.1f}" for value in own)) for name, own in named]
    return [
        Section("All folds together", [quiet(f"In %. {_ABOUT} {scores.method}"), *warned, scores_table(result)]),
        Section("Each fold", [quiet("In %, mean over the seeds of the fold's winner."), folds_table(result)]),
        Section("Each class", [quiet("In %, over all folds."), Table(columns, classes)]),
        Section("Confusions", [quiet("Images, mean over seeds, over all folds."), Table(names, counts)]),
        Section(
            "A fold by itself",
            [Note(text(f"Each fold is a run with a report of its own: `fer-tune report {stand.name}/{stand.first}`."))],
        ),
    ]
