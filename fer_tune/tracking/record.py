"""W&B runs of what is trained or tested outside a search: refits and the held-out test."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from fer_tune.tracking.mode import Mode
from fer_tune.tracking.session import Session


def record_run(
    run_folder: Path,
    *,
    mode: Mode,
    job_type: Literal["refit", "test"],
    name: str,
    group: str,
    config: dict[str, Any],
    history: Iterable[dict[str, Any]] = (),
    summary: dict[str, Any] | None = None,
    tags: list[str] | None = None,
    finish_timeout: float = 60.0,
) -> str | None:
    """Record one finished run under ``run_folder/wandb``, in the group of its search.

    Args:
        run_folder: the run folder.
        mode: what `resolve_mode` returned; disabled does nothing.
        job_type: refit or test.
        name: shown as the run's name.
        group: name of the search.
        config: its flat settings.
        history: a row per epoch, each with ``epoch``.
        summary: its results.
        tags: backbone, dataset, origin.
        finish_timeout: seconds to wait for uploads.

    Returns:
        One line on what went wrong, or None. W&B never raises from here.
    """
    session = Session(run_folder, mode, finish_timeout=finish_timeout)
    run_id = f"{job_type}-{uuid.uuid4().hex[:16]}"
    session.start(run_id, name=name, group=group, job_type=job_type, config=config, tags=tags or [])
    for row in history:
        session.log(run_id, row)
    session.finish(run_id, summary or {})
    session.close()
    return session.warning
