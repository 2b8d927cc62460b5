"""Record refits and tests as Weights & Biases runs, in the group of their search and in its mode."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

from analysis.refits.training import RefitTask
from analysis.results import TestResult
from analysis.run import RunRecord
from fer_tune.errors import UserError
from fer_tune.run_folder import METRICS, RefitResult
from fer_tune.tracking.attached import Attachments
from fer_tune.tracking.names import run_id
from fer_tune.tracking.record import record_run
from fer_tune.tracking.session import Session

_log = logging.getLogger(__name__)


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
    summary: dict[str, Any] = {"test_images": result.images, "opening": result.opening}
    named = {name: getattr(result, name) for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    for name, estimate in (named | result.more).items():
        summary |= {
            f"test_{name}": estimate.value,
            f"test_{name}_low": estimate.low,
            f"test_{name}_high": estimate.high,
        }
    for scores in result.per_class:
        summary |= {f"test_{name}/{scores.name}": getattr(scores, name).value for name in ("f1", "precision", "recall")}
    if run.settings.wandb == "disabled":
        return
    with closing(Session(run.folder.path, run.settings.wandb)) as session:
        _record(
            run,
            session,
            "test",
            result.config_id,
            result.config,
            [],
            summary,
            result.backbone,
            _test_attachments(run, result),
            (run.settings.name, "test", result.config_id, "".join(filter(str.isdigit, result.when))[:14]),
        )


def _test_attachments(run: RunRecord, result: TestResult) -> Attachments | None:
    """Return the tables, charts and artifacts of a test, or None where that fails.

    The split is opened and the result is written: nothing here may cost it.
    """
    from analysis.recording.attachments import for_test
    from fer_tune.tracking.mode import images_allowed

    images = False
    try:
        images = images_allowed()
    except UserError as error:
        _log.warning("W&B: %s; recorded without images", error)
    try:
        return for_test(run, result, images=images)
    except Exception as error:
        _log.warning("W&B: tables, charts and artifacts of the test are not recorded: %s", error)
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
