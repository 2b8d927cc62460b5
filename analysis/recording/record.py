"""Record refits, tests and further readings as Weights & Biases runs, in the group of their search and in its mode."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from typing import Any, Literal, TypeVar

from analysis.refits.training import RefitTask
from analysis.results import Corruptions, TestResult, Transfer
from analysis.run import RunRecord
from fer_tune.data.prepared.card import DatasetCard
from fer_tune.errors import UserError
from fer_tune.run_folder import METRICS, RefitResult
from fer_tune.tracking.attached import Attachments
from fer_tune.tracking.names import run_id
from fer_tune.tracking.record import record_run
from fer_tune.tracking.session import Session

_log = logging.getLogger(__name__)

T = TypeVar("T")


def record_refit(run: RunRecord, task: RefitTask, result: RefitResult, session: Session) -> None:
    """Have ``session``, that of all refits, record a finished one with its epochs; returns at once."""
    frame = run.refit_epochs(task.config_id, task.seed, task.on)[["epoch", *METRICS]]
    rows = [{str(name): value for name, value in row.items() if value == value} for row in frame.to_dict("records")]
    summary = {name: getattr(result, name) for name in ("best_epoch", "epochs", "seconds", "trained_on")}
    if task.on == "train":
        summary |= {run.aim.best: getattr(result, run.aim.column), "val_accuracy": result.val_accuracy}
    _record(run, session, "refit", task.name, task.config.model_dump(), rows, summary, task.config.backbone)


def record_test(run: RunRecord, result: TestResult) -> None:
    """Record the test of a configuration; what goes wrong is a warning, in the log."""
    from analysis.recording.attachments import for_test
    from analysis.recording.beyond import bounded, of_test

    summary: dict[str, Any] = {"test_images": result.images, "opening": result.opening}
    named = {name: getattr(result, name) for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    for name, estimate in (named | result.more).items():
        summary |= bounded(f"test_{name}", estimate)
    for scores in result.per_class:
        summary |= {f"test_{name}/{scores.name}": getattr(scores, name).value for name in ("f1", "precision", "recall")}
    more, tables = _guarded("test", lambda: of_test(run, result)) or ({}, Attachments())

    def attached(images: bool) -> Attachments:
        return for_test(run, result, images=images) | tables

    _record_reading(run, "test", result, result.config_id, summary | more, attached)


def record_corruptions(run: RunRecord, found: Corruptions) -> None:
    """Record what the tested winner does under corruptions; what goes wrong is a warning, in the log."""
    from analysis.recording.beyond import of_corruptions, with_corruptions

    def attached(images: bool) -> Attachments:
        return with_corruptions(run, found, images=images)

    name = f"{found.config_id} under corruptions"
    _record_reading(run, "corruptions", found, name, of_corruptions(found), attached)


def record_transfer(run: RunRecord, found: Transfer, card: DatasetCard) -> None:
    """Record what the tested winner does on another dataset, ``card``; what goes wrong is a warning, in the log."""
    from analysis.recording.beyond import of_transfer, with_transfer

    def attached(images: bool) -> Attachments:
        return with_transfer(run, found, card, images=images)

    name = f"{found.config_id} on {found.tested_on}"
    _record_reading(run, "transfer", found, name, of_transfer(found), attached, (found.tested_on,))


def _record_reading(
    run: RunRecord,
    kind: Literal["test", "corruptions", "transfer"],
    result: TestResult | Corruptions | Transfer,
    name: str,
    summary: dict[str, Any],
    attached: Callable[[bool], Attachments],
    known_by: tuple[str, ...] = (),
) -> None:
    """Record a reading of a held-out split by a configuration as a W&B run of its own.

    Args:
        run: the run.
        kind: of the reading.
        result: what it gave.
        name: shown as the W&B run's name.
        summary: its figures.
        attached: gives its tables, charts and artifacts, told whether photographs may be in them.
        known_by: what its id holds beside kind, configuration and time.
    """
    if run.settings.wandb == "disabled":
        return
    test = next(each for each in run.all_tests if (each.config_id, each.opening) == (result.config_id, result.opening))
    when = "".join(filter(str.isdigit, result.when))[:14]
    with closing(Session(run.folder.path, run.settings.wandb)) as session:
        _record(
            run,
            session,
            kind,
            name,
            test.config,
            [],
            summary,
            test.backbone,
            _guarded(kind, lambda: attached(_images_allowed())),
            (run.settings.name, kind, result.config_id, *known_by, when),
        )


def _images_allowed() -> bool:
    from fer_tune.tracking.mode import images_allowed

    try:
        return images_allowed()
    except UserError as error:
        _log.warning("W&B: %s; recorded without images", error)
        return False


def _guarded(kind: str, gather: Callable[[], T]) -> T | None:
    """Return what is gathered of a reading, or None where that fails.

    The split is opened and the result is written: nothing here may cost it.
    """
    try:
        return gather()
    except Exception as error:
        _log.warning("W&B: tables, charts and artifacts of the %s are not recorded: %s", kind, error)
        return None


def _record(
    run: RunRecord,
    session: Session,
    kind: Any,
    name: str,
    config: dict[str, Any],
    rows: list[dict[str, Any]],
    summary: dict[str, Any],
    backbone: str,
    attachments: Attachments | None = None,
    id_parts: tuple[str, ...] = (),
) -> None:
    record_run(
        session,
        job_type=kind,
        name=name,
        group=run.settings.name,
        config=config,
        history=rows,
        summary=summary,
        tags=[backbone, run.settings.dataset.name],
        attachments=attachments,
        run_id=run_id(*id_parts) if id_parts else None,
    )
