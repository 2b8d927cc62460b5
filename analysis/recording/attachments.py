"""What goes to W&B with the run of a test and with that of a search: tables, charts, and artifacts with their lineage.

Photographs and the names of their files go along only where that is allowed; see `fer_tune.tracking.mode`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.heldout.examples import MISTAKES, PAIRS, PER_PAIR
from analysis.report.form.blocks import Report, Section
from analysis.report.form.rendering import as_html, as_markdown, blocks_as_markdown
from analysis.report.sections.whole import describe
from analysis.report.telling.facts import gather
from analysis.report.telling.findings import standing
from analysis.report.writing import what_mattered
from analysis.results import ClassScores, Scores, TestResult
from analysis.run import RunRecord, read_run
from analysis.run.cards import dataset_card
from analysis.run.predictions import Predictions
from analysis.use.export import preprocessing
from analysis.use.predicting import network
from fer_tune.amounts import amount
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.tracking.attached import Artifact, Attachments, Chart, PageSection, PanelGroup, Row
from fer_tune.tracking.names import run_id as clean

PREDICTIONS = 10_000  # rows of the table at most: W&B shows no more of one that is logged
CURVE_POINTS = 200  # of a class at most
IMAGES = MISTAKES + PAIRS * PER_PAIR  # images at most, each with its heat map

_SCORES = ("f1", "precision", "recall", "specificity", "auc")


def for_test(run: RunRecord, test: TestResult, *, images: bool) -> Attachments:
    """Return what goes with the run of a test.

    Tables: ``per_class``, ``against`` (the other tested configurations), ``predictions`` of the seeds' ensemble by
    their place in the split and, with ``images``, ``mistakes``, at most `IMAGES`.  Charts: confusion over all
    seeds, ROC and precision-recall curves.  Artifacts: the dataset's card (used), the model that `fer-tune export`
    would take, the report's text.

    Args:
        run: the run.
        test: the winner's result.
        images: whether photographs, and the names of their files, may be in it.
    """
    predictions = run.predictions(test.config_id)
    tables = {"per_class": [class_row(row) for row in test.per_class], "predictions": _predictions(predictions)}
    if run.comparison is not None and run.comparison.opening == test.opening:
        tables["against"] = [_pair_row(pair.model_dump()) for pair in run.comparison.pairs]
    if images:
        tables["mistakes"] = _mistakes(run.folder.test(test.config_id, test.opening) / "examples.parquet")
    return Attachments(
        {name: rows for name, rows in tables.items() if rows},
        {"confusion": confusion(test, "Confusion on the held-out split")} | _curves(predictions),
        _artifacts(run, test, images=images),
    )


def for_search(folder: Path) -> Attachments:
    """Return which settings mattered in the search in ``folder``: a table, and a chart for each backbone.

    Empty with too few random trials; see `analysis.trials.importance`.
    """
    found = what_mattered(read_run(folder))
    rows: list[Row] = [
        {
            "backbone": each.backbone,
            "setting": setting.name,
            "share": setting.share,
            "low": setting.low,
            "high": setting.high,
            "p": setting.p,
            "shown": setting.shown,
            "trials": each.trials,
            "epoch": each.epoch,
        }
        for each in found
        for setting in each.settings
    ]
    charts = {
        f"importance_{clean(each.backbone)}": Chart(
            "bars",
            f"{each.backbone}: share of each setting in the differences between random trials {each.when}",
            [{"label": setting.name, "value": setting.share} for setting in each.settings],
        )
        for each in found
    }
    return Attachments({"importance": rows} if rows else {}, charts)


def class_row(scores: ClassScores) -> Row:
    """Return the scores of a class, each with its interval, as a table's row."""
    row: Row = {"class": scores.name, "images": scores.support}
    for name in _SCORES:
        estimate = getattr(scores, name)
        row |= {
            name: None if estimate is None else estimate.value,
            f"{name}_low": None if estimate is None else estimate.low,
            f"{name}_high": None if estimate is None else estimate.high,
        }
    return row


def _pair_row(pair: dict[str, Any]) -> Row:
    of_accuracy = ("difference", "low", "high", "p")
    of_f1 = ("macro_f1_difference", "macro_f1_low", "macro_f1_high", "macro_f1_p")
    return {name: pair[name] for name in ("second", "second_origin", *of_accuracy, *of_f1, "words")}


def _predictions(predictions: Predictions) -> list[Row]:
    """Return a row per image, the most confident mistakes first; images go by their place in the held-out split."""
    joint = predictions.probabilities.mean(0)
    predicted, confidence = joint.argmax(-1), joint.max(-1)
    agreement = (predictions.probabilities.argmax(-1) == predicted).mean(0)
    right = predicted == predictions.labels
    order = np.lexsort((-confidence, right))[:PREDICTIONS]
    return [
        {
            "index": int(i),
            "label": predictions.classes[predictions.labels[i]],
            "predicted": predictions.classes[predicted[i]],
            "right": bool(right[i]),
            "confidence": float(confidence[i]),
            "agreement": float(agreement[i]),
            **{f"p_{name}": float(joint[i, c]) for c, name in enumerate(predictions.classes)},
        }
        for i in order
    ]


def _mistakes(file: Path) -> list[Row]:
    """Return the images that the test kept (so that nobody opens the split again), with what the network looked at."""
    if not file.is_file():
        return []
    kept = ("image", "heat", "label", "predicted", "confidence", "agreement", "kind", "index", "source")
    frame = pd.read_parquet(file)
    rows = frame[frame["kind"] != "further"].head(IMAGES).to_dict("records")
    return [{name: row[name] for name in kept} for row in rows]


def confusion(scores: Scores, title: str) -> Chart:
    """Return the confusion matrix of all seeds together."""
    total = np.sum(np.asarray(scores.confusion), axis=0)
    rows: list[Row] = [
        {"actual": actual, "predicted": predicted, "count": int(total[i, j])}
        for i, actual in enumerate(scores.classes)
        for j, predicted in enumerate(scores.classes)
    ]
    return Chart("confusion", f"{title}, {amount(len(scores.seeds), 'seed')} together", rows)


def _curves(predictions: Predictions) -> dict[str, Chart]:
    """Return ROC and precision-recall curves, each class against the rest, of the seeds' mean probabilities."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    joint = predictions.probabilities.mean(0)
    roc: list[Row] = []
    recalled: list[Row] = []
    for c, name in enumerate(predictions.classes):
        own = predictions.labels == c
        if not 0 < own.sum() < len(own):
            continue
        wrong, found, _ = roc_curve(own, joint[:, c])
        roc += _points(name, wrong, found)
        precision, recall, _ = precision_recall_curve(own, joint[:, c], drop_intermediate=True)
        recalled += _points(name, recall, precision)
    curves = {
        "roc": Chart("curves", "ROC, each class against the rest", roc, "false positive rate", "true positive rate"),
        "precision_recall": Chart(
            "curves", "Precision and recall, each class against the rest", recalled, "recall", "precision"
        ),
    }
    return {name: chart for name, chart in curves.items() if chart.rows}


def _points(name: str, x: NDArray[Any], y: NDArray[Any]) -> list[Row]:
    """Return at most `CURVE_POINTS` points of a curve, evenly along it, both ends among them."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE_POINTS)).round().astype(int))
    return [{"class": name, "x": float(x[i]), "y": float(y[i])} for i in kept]


def _artifacts(run: RunRecord, test: TestResult, *, images: bool) -> list[Artifact]:
    data = {"dataset": test.dataset, "content_hash": test.content_hash, "split_hash": test.split_hash}
    card = dataset_card(run)
    return [
        *([dataset_artifact(card, data)] if card is not None else []),
        _model(run, test, clean(run.settings.name, "model"), data),
        report_artifact(run, test.config_id, images=images),
    ]


def dataset_artifact(card: DatasetCard, data: Row) -> Artifact:
    """Return a dataset as its card alone, which names its content by hashes: no image leaves the machine."""
    known = data | {"classes": card.classes, "images": {split: card.images(split) for split in card.counts}}
    text = card.model_dump_json(indent=2)
    return Artifact(clean(card.name, "card"), "dataset", {"dataset.json": text}, known, used=True)


def report_artifact(run: RunRecord, config_id: str, *, images: bool) -> Artifact:
    """Return the report's texts, without figures: the charts are W&B's own.  Photographs are in it with ``images``."""
    report = _described(run, images=images)
    texts: dict[str, Path | str] = {"report.html": as_html(report), "report.md": as_markdown(report)}
    return Artifact(clean(run.settings.name, "report"), "report", texts, {"config_id": config_id})


def _model(run: RunRecord, test: TestResult, name: str, data: Row) -> Artifact:
    """Return the weights of one seed, the best on validation, with what is to be done to an image before."""
    seeds = network(run, test.config_id)
    models = seeds.alone(seeds.best_seed())
    side = models.settings[0].image_size
    shape = (models.card.channels, side or models.card.height, side or models.card.width)
    about = json.dumps(preprocessing(models, shape), indent=2)
    known = data | {
        "config_id": test.config_id,
        "backbone": test.backbone,
        "origin": test.origin,
        "seed": models.seeds[0],
        "trained_on": models.trained_on,
        "test_accuracy": test.accuracy.value,  # of all seeds, as the report has it
        "test_accuracy_low": test.accuracy.low,
        "test_accuracy_high": test.accuracy.high,
    }
    return Artifact(name, "model", {"model.safetensors": models.files[0], "preprocessing.json": about}, known)


def for_page(run: RunRecord, *, images: bool) -> list[PageSection]:
    """Return the report's sections for a page in W&B, its opening first, as far as the run is.

    Args:
        run: the run.
        images: whether the names of image files may be in it.
    """
    report = _described(run, images=images)
    return [
        PageSection(section.title, blocks_as_markdown(section.blocks), _PANELS.get(section.title))
        for section in (Section(report.title, report.opening), *report.sections)
    ]


_PANELS: dict[str, PanelGroup] = {
    "On the held-out split": "test",
    "From group to group": "groups",
    "One model or several: what validation chose": "combinations",
    "Under common corruptions": "corruptions",
    "On other datasets": "transfer",
    "Trials of the search": "search",
    "How it was obtained": "trials",
}


def _described(run: RunRecord, *, images: bool) -> Report:
    facts = gather(run, standing(run), what_mattered(run))
    if not images and facts.examples is not None:
        facts = replace(facts, examples=replace(facts.examples, rows=[], gallery=[]))  # names of files, photographs
    return describe(facts, [])
