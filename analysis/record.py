"""Record refits and tests as Weights & Biases runs, in the group of their search and in its mode."""

from __future__ import annotations

from typing import Any

from analysis.refit import RefitTask
from analysis.results import TestResult
from analysis.run import Run
from fer_tune.run_folder import METRICS, RefitResult


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
    return _record(run, "test", result.config_id, result.config, [], summary, result.backbone)


def _record(
    run: Run,
    kind: Any,
    name: str,
    config: dict[str, Any],
    rows: list[dict[str, Any]],
    summary: dict[str, Any],
    backbone: str,
) -> str | None:
    if run.settings.wandb == "disabled":
        return None
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
    )
