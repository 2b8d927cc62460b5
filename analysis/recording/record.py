"""Record refits and tests as Weights & Biases runs, in the group of their search and in its mode."""

from __future__ import annotations

from typing import Any

from analysis.refits.training import RefitTask
from analysis.run import Run
from analysis.run.results import TestResult
from fer_tune.errors import UserError
from fer_tune.run_folder import METRICS, RefitResult
from fer_tune.tracking.attached import Attachments


def record_refit(run: Run, task: RefitTask, result: RefitResult) -> str | None:
    """Record one finished refit with its epochs; return what went wrong, or None."""
    frame = run.refit_epochs(task.config_id, task.seed, task.on)[["epoch", *METRICS]]
    rows = [{str(name): value for name, value in row.items() if value == value} for row in frame.to_dict("records")]
    summary = {name: getattr(result, name) for name in ("best_epoch", "epochs", "seconds", "trained_on")}
    if task.on == "train":
        summary["best_val_accuracy"] = result.best_val_accuracy
    return _record(run, "refit", task.name, task.config.model_dump(), rows, summary, task.config.backbone)


def record_test(run: Run, result: TestResult) -> str | None:
    """Record the test of a configuration; return what went wrong, or None."""
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
        return None
    attachments, problem = _test_attachments(run, result)
    warning = _record(
        run,
        "test",
        result.config_id,
        result.config,
        [],
        summary,
        result.backbone,
        attachments,
        (run.settings.name, "test", result.config_id, "".join(filter(str.isdigit, result.when))[:14]),
    )
    return warning or problem


def _test_attachments(run: Run, result: TestResult) -> tuple[Attachments | None, str | None]:
    """Return the tables, charts and artifacts of a test, and one line on what went wrong.

    The split is opened and the result is written: nothing here may cost it.
    """
    from analysis.recording.attachments import for_test
    from fer_tune.tracking.mode import images_allowed

    images, problem = False, None
    try:
        images = images_allowed()
    except UserError as error:
        problem = f"W&B: {error}; recorded without images"
    try:
        return for_test(run, result, images=images), problem
    except Exception as error:
        return None, f"W&B: tables, charts and artifacts of the test are not recorded: {error}"


def _record(
    run: Run,
    kind: Any,
    name: str,
    config: dict[str, Any],
    rows: list[dict[str, Any]],
    summary: dict[str, Any],
    backbone: str,
    attachments: Attachments | None = None,
    id_parts: tuple[str, ...] = (),
) -> str | None:
    if run.settings.wandb == "disabled":
        return None
    from fer_tune.tracking.names import run_id
    from fer_tune.tracking.record import record_run

    return record_run(
        run.folder.path,
        mode=run.settings.wandb,
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
