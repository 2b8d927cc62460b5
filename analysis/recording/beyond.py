"""What goes to W&B of what a test does beyond one mean: groups, combinations, corruptions, other datasets."""

from __future__ import annotations

import math
from typing import Any

from analysis.recording.attachments import class_row, confusion, dataset_artifact, report_artifact
from analysis.results import Corruptions, Estimate, TestResult, Transfer
from analysis.run import RunRecord
from analysis.run.combinations import TestedChoice, latest_choice
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.tracking.attached import Attachments, Chart, Row


def bounded(name: str, estimate: Estimate) -> Row:
    """Return an estimate with its interval, by the names that a table or a summary has."""
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def of_test(run: RunRecord, test: TestResult) -> tuple[Row, Attachments]:
    """Return what the test tells of groups, scaled probabilities and combinations: for the summary, and tables.

    The table ``groups`` has a row per group of held-out images; ``combinations`` one per way to use the models, as
    validation judged it. Empty where the test had none of these.
    """
    summary: Row = {}
    tables: dict[str, list[Row]] = {}
    if test.groups:
        tables["groups"] = [group.model_dump() for group in test.groups]
    if (gap := test.group_gap) is not None:
        summary |= {
            "test_worst_group": gap.worst,
            "test_worst_group_accuracy": gap.accuracy,
            "test_worst_group_accuracy_low": gap.low,
            "test_worst_group_accuracy_high": gap.high,
            "test_best_group": gap.best,
            "test_group_gap": gap.gap,
            "test_group_gap_low": gap.gap_low,
            "test_group_gap_high": gap.gap_high,
            "test_group_gap_by_chance": gap.by_chance,
        }
    if test.scaling is not None:
        summary |= bounded("test_temperature_gain", test.scaling.gain)
        for name, estimate in test.scaling.after.items():
            summary |= bounded(f"test_scaled_{name}", estimate)
    tested = latest_choice(run)
    if tested is not None and tested.opening == test.opening:
        summary |= _chosen(tested)
        tables["combinations"] = _ways(tested)
    return summary, Attachments(tables)


def _chosen(tested: TestedChoice) -> Row:
    """Return which combination validation chose, and how it did; without scores it is the single model."""
    own = tested.choice.combination
    summary: Row = {"combination": own.name, "combination_passes": own.passes}
    if tested.scores is not None:
        summary |= bounded("test_combination_accuracy", tested.scores.accuracy)
    if tested.gain is not None:
        found = tested.gain
        summary |= {
            "test_combination_gain": found.value,
            "test_combination_gain_low": found.low,
            "test_combination_gain_high": found.high,
            "test_combination_gain_p": found.p,
        }
    return summary


def _ways(tested: TestedChoice) -> list[Row]:
    choice = tested.choice
    return [
        {
            "models": way.name,
            choice.aim: way.value,
            "gain": _finite(way.gain),
            "standard_error": _finite(way.margin),
            "passes": way.passes,
            "chosen": way is choice.combination,
        }
        for way in choice.combinations
    ]


def _finite(value: float) -> float | None:
    """Return the value; None where nothing is known of it, as of one person's spread: W&B's tables know no infinity."""
    return value if math.isfinite(value) else None


def of_corruptions(found: Corruptions) -> Row:
    """Return the summary of a reading under corruptions: what is right under each, and what it loses."""
    summary: Row = {
        "corrupted_images": found.images,
        **bounded("corrupted_accuracy", found.mean),
        **bounded("corrupted_loss", found.loss),
    }
    for each in found.each:
        summary |= bounded(f"corrupted_accuracy/{each.name}", each.mean)
        summary |= bounded(f"corrupted_loss/{each.name}", each.loss)
    return summary


def with_corruptions(run: RunRecord, found: Corruptions, *, images: bool) -> Attachments:
    """Return what goes with a reading under corruptions: a table of every strength, a chart of losses, the report.

    Args:
        run: the run.
        found: what the reading gave.
        images: whether the report may have photographs, and the names of their files.
    """
    rows: list[Row] = [
        {
            "corruption": each.name,
            "strength": at.strength,
            "parameter": at.parameter,
            **bounded("accuracy", at.accuracy),
        }
        for each in found.each
        for at in each.at
    ]
    lost: list[Row] = [{"label": each.name, "value": each.loss.value} for each in found.each]
    chart = Chart("bars", f"Share lost under each corruption, mean over strengths, of {found.clean.value:.3f}", lost)
    return Attachments(
        {"corruptions": rows}, {"corruption_loss": chart}, [report_artifact(run, found.config_id, images=images)]
    )


def of_transfer(found: Transfer) -> Row:
    """Return the summary of a reading of another dataset: scores on shared classes, on all images, and at home."""
    summary: Row = {
        "transfer_trained_on": found.trained_on,
        "transfer_tested_on": found.tested_on,
        "transfer_shared_classes": len(found.shared),
        "transfer_images": found.scores.images,
        "transfer_images_left_out": found.known,
        "transfer_reading": found.reading,
        **bounded("transfer_accuracy_all_images", found.every),
    }
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        summary |= bounded(f"transfer_{name}", getattr(found.scores, name))
        if found.home is not None:
            summary |= bounded(f"home_{name}", getattr(found.home, name))
    return summary


def with_transfer(run: RunRecord, found: Transfer, card: DatasetCard, *, images: bool) -> Attachments:
    """Return what goes with a reading of another dataset: its classes, confusions, its card as an input, the report.

    Args:
        run: the run.
        found: what the reading gave.
        card: of the other dataset.
        images: whether the report may have photographs, and the names of their files.
    """
    data: dict[str, Any] = {
        "dataset": found.tested_on,
        "content_hash": found.content_hash,
        "split_hash": found.split_hash,
    }
    return Attachments(
        {"transfer_per_class": [class_row(row) for row in found.scores.per_class]},
        {"transfer_confusion": confusion(found.scores, f"Confusion on {found.tested_on}, shared classes")},
        [dataset_artifact(card, data), report_artifact(run, found.config_id, images=images)],
    )
