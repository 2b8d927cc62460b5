"""Sections on the held-out split: the scores, what the models cost to use, and the errors."""

from __future__ import annotations

from analysis.report.form.blocks import (
    Block,
    Cell,
    Column,
    Gallery,
    Paragraph,
    Picture,
    Section,
    Span,
    Table,
    pictures_at,
    quiet,
    row,
    stacked,
    text,
)
from analysis.report.telling.errors import Examples
from analysis.report.telling.facts import Facts
from analysis.results import Estimate, TestResult
from analysis.words import percent, span
from fer_tune.amounts import amount


def held_out(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return every score of the winner, its views, its classes and its confusions; nothing before the test."""
    test = facts.test
    if test is None:
        return []
    views = (
        "With several views of each image, and as one classifier that averages the seeds' probabilities (its intervals "
        f"are for new {'groups' if test.groups_sampled > 1 else 'images'} only)."
    )
    seeds = amount(len(test.seeds), "seed")
    confusion = (
        f"Confusion matrix in counts, summed over {seeds}: rows are the true classes, columns the predicted ones."
    )
    told = f"{test.config_id}, trained on {test.trained_on}, {test.images:,} images; in % unless said. {test.method}"
    blocks: list[Block] = [
        quiet(told),
        _scores(facts, test),
        quiet(views),
        _views(facts),
        quiet("Each class, in %: mean over seeds (95 % interval)."),
        _classes(test),
        *pictures_at(pictures, "classes"),
        quiet(confusion),
        _confusion(facts, test),
        *pictures_at(pictures, "held-out"),
    ]
    return [Section("On the held-out split", blocks)]


def _scores(facts: Facts, test: TestResult) -> Table:
    columns = [
        Column("metric"),
        Column("mean over seeds", "right", label="mean"),
        Column("95 % interval", "right"),
        Column("each seed"),
        Column("ensemble of the seeds", "right", label="ensemble"),
    ]
    rows = [row(*(each[name] for name in ("name", "value", "interval", "each", "ensemble"))) for each in facts.scores]
    largest = row("accuracy of always answering the largest class", percent(test.largest_class), "", "", "")
    return Table(columns, [*rows, largest])


def _views(facts: Facts) -> Table:
    columns = [Column("models"), *(Column(name, "right") for name in ("accuracy", "balanced accuracy", "macro F1"))]
    return Table(columns, [row(*(each[n] for n in ("name", "accuracy", "balanced", "f1"))) for each in facts.views])


def _classes(test: TestResult) -> Table:
    names = ("precision", "recall", "F1", "specificity", "AUC")
    columns = [Column("class"), *(Column(name, "right") for name in (*names, "images"))]
    rows = [
        row(each.name, *(_estimate(getattr(each, name.lower())) for name in names), f"{each.support:,}")
        for each in test.per_class
    ]
    return Table(columns, rows)


def _estimate(estimate: Estimate | None) -> str | Cell:
    return "–" if estimate is None else stacked(percent(estimate.value), span(estimate))


def _confusion(facts: Facts, test: TestResult) -> Table:
    columns = [Column("true"), *(Column(name, "right") for name in test.classes)]
    return Table(columns, [row(name, *(f"{number:,}" for number in counts)) for name, counts in facts.confusion])


def calibration(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return how far the winner's probabilities are what they say, and what scaling does; nothing before the test."""
    test = facts.test
    if test is None or not facts.calibration:
        return []
    words = (
        "Mean over seeds (95 % interval). The Brier score is its reliability less its resolution plus its uncertainty. "
        "A calibration error, in %, is the root mean square of how far probabilities lie from how often they come "
        "true, in bins of equal numbers of images; what few images add to it by chance is taken out, so that a "
        "reliability may come out below zero."
    )
    scaled = [Column("after", "right")] if test.scaling is not None else []
    columns = [Column("metric"), Column("before" if scaled else "value", "right"), *scaled]
    cells = ("name", "before", "after") if scaled else ("name", "before")
    each = [Column("class"), Column("calibration error (%)", "right"), Column("images", "right")]
    classes = [
        row(one.name, _estimate(one.calibration), f"{one.support:,}") for one in test.per_class if one.calibration
    ]
    blocks: list[Block] = [
        Paragraph(text(facts.scaled)),
        Table(columns, [row(*(found[name] for name in cells)) for found in facts.calibration]),
        quiet(words),
        *pictures_at(pictures, "calibration"),
        quiet("The probabilities of each class, as the models say."),
        Table(each, classes),
    ]
    return [Section("Calibration", blocks)]


def costs(facts: Facts) -> list[Section]:
    """Return size and speed of the tested configurations; nothing where none was measured."""
    if not facts.costs:
        return []
    columns = [
        Column("configuration"),
        Column("parameters", "right"),
        Column("ms per image", "right"),
        Column("images per second", "right"),
        Column("device"),
    ]
    words = (
        "Forward pass alone, on the machine that ran the test, as busy as it was: milliseconds for one image (median, "
        "10th to 90th percentile), images per second in batches of 64."
    )
    cells = ("id", "parameters", "latency", "speed", "device")
    rows = [row(*(each[name] for name in cells)) for each in facts.costs]
    return [Section("What the models cost to use", [quiet(words), Table(columns, rows)])]


def errors(facts: Facts, pictures: list[Picture]) -> list[Section]:
    """Return the most confused pairs and the labels that may be wrong; nothing for a test that kept no examples."""
    found = facts.examples
    if found is None:
        return []
    words = (
        f"{found.doubtful} may be wrong themselves: every seed agrees on another class and is as sure of it as it "
        f"usually is (confident learning). Or the models are, which are right on {found.right}: this is a list to look "
        "at, not a correction; all are in "
    )
    blocks: list[Block] = [
        Paragraph(text(f"Most confused by {found.model}: {found.pairs}.")),
        *_gallery(found),
        *pictures_at(pictures, "errors"),
        Paragraph(text(words, Span(found.file, code=True), " of the run.")),
    ]
    if found.rows:
        columns = [Column("image"), Column("label"), Column("suggested"), Column("probability (%)", "right")]
        rows = [
            row(Cell((Span(each["source"], code=True),)), each["label"], each["suggested"], each["p"])
            for each in found.rows
        ]
        blocks.append(Table(columns, rows))
    return [Section("Errors", blocks)]


def _gallery(found: Examples) -> list[Block]:
    if not found.gallery:
        return []
    words = (
        f"Mistakes of {found.model} on held-out images, the most confident ones of every pair of classes: label → "
        "prediction, its probability, and how many of the seeds' models predict the same."
    )
    return [Gallery(found.gallery, words)]
