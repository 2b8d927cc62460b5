"""What is asked of the wandb package: a run, and an end of the service process that holds all open runs."""

from __future__ import annotations

import functools
import io
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any

from fer_tune.tracking.attached import Artifact, Attachments, Chart, ChartKind, Row
from fer_tune.tracking.mode import Mode
from fer_tune.tracking.wandb_internals import QUIET_SETTINGS, THREADS, record_used

if TYPE_CHECKING:
    from wandb import Run

PROJECT = "fer-tune"  # where WANDB_PROJECT does not name another


def open_run(
    run_id: str,
    folder: Path,
    mode: Mode,
    limits: dict[str, float],
    init: dict[str, Any],
    step: str = "epoch",
    sweep_id: str | None = None,
    stats: bool = False,
) -> Run:
    """Open a W&B run under ``folder/wandb``, or go on with the one of that id.

    Args:
        run_id: as W&B takes it, see `names.run_id`.
        folder: the run folder.
        mode: online or offline.
        limits: ``init_timeout`` and ``finish_timeout`` in seconds.
        init: more words of `wandb.init`: name, group, job_type, tags, config.
        step: what the history is drawn over.
        sweep_id: of the sweep that the run belongs to.
        stats: record how this machine is used while the run is open.

    Raises:
        Exception: whatever W&B raises; it has many kinds.
    """
    import wandb

    (folder / "wandb").mkdir(parents=True, exist_ok=True)  # W&B would go to /tmp without a word
    run = wandb.init(
        id=run_id,
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        dir=str(folder),
        mode=mode,
        reinit="create_new",
        resume="allow",
        settings=wandb.Settings(
            console="off",
            silent=True,
            disable_git=True,  # a remote's address can hold a password
            finish_timeout_raises=True,
            sweep_id=sweep_id,
            **{**QUIET_SETTINGS, "x_disable_stats": not stats},
            **limits,
        ),
        **init,
    )
    run.define_metric(step)
    run.define_metric("*", step_metric=step)  # an epoch that comes twice is fine, as a step it would not be
    return run


def attach(run: Run, folder: Path, what: Attachments) -> None:
    """Log tables, charts and artifacts with a run; files are named where they are, not copied.

    W&B keeps copies of tables until they are uploaded, in the home folder of whoever runs it; here they go to
    ``folder/wandb``, beside the run that they belong to, unless WANDB_DATA_DIR names a place.

    Raises:
        Exception: whatever W&B raises.
    """
    with _data_in(folder / "wandb"):
        media: dict[str, Any] = {name: _table(rows) for name, rows in what.tables.items()}
        media |= {name: _chart(chart) for name, chart in what.charts.items()}
        if media:
            run.log(media)
        for artifact in what.artifacts:
            _log_artifact(run, artifact)


def _table(rows: list[Row], columns: dict[str, str] | None = None) -> Any:
    """Return rows as a W&B table; ``columns`` is {key in the rows: name in the table}, all of them by default."""
    import wandb

    names = columns or {name: name for name in (rows[0] if rows else ())}
    data: list[Iterable[Any]] = [[_cell(row[key]) for key in names] for row in rows]
    return wandb.Table(columns=list(names.values()), data=data, allow_mixed_types=True)


def _cell(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    import wandb
    from PIL import Image

    with Image.open(io.BytesIO(value)) as image:
        image.load()
        return wandb.Image(image)


_CHARTS: dict[ChartKind, tuple[str, dict[str, str], dict[str, str]]] = {
    # kind -> W&B's name of the chart, {key in the rows: name in the table}, {field of the chart: name in the table}
    "confusion": (
        "wandb/confusion_matrix/v1",
        {"actual": "Actual", "predicted": "Predicted", "count": "nPredictions"},
        {"Actual": "Actual", "Predicted": "Predicted", "nPredictions": "nPredictions"},
    ),
    "curves": (
        "wandb/area-under-curve/v0",
        {"class": "class", "x": "x", "y": "y"},
        {"class": "class", "x": "x", "y": "y"},
    ),
    "bars": ("wandb/bar/v0", {"label": "label", "value": "value"}, {"label": "label", "value": "value"}),
}


def _chart(chart: Chart) -> Any:
    import wandb

    name, columns, fields = _CHARTS[chart.kind]
    words = {"title": chart.title, "x-axis-title": chart.x_title, "y-axis-title": chart.y_title}
    told = {key: text for key, text in words.items() if text}
    return wandb.plot_table(name, _table(chart.rows, columns), fields, told)


def _log_artifact(run: Run, artifact: Artifact) -> None:
    import wandb

    made = wandb.Artifact(artifact.name, type=artifact.type, metadata=artifact.metadata)
    for name, content in artifact.files.items():
        if isinstance(content, Path):
            made.add_file(str(content), name=name, policy="immutable")
        else:
            with made.new_file(name, encoding="utf-8") as file:
                file.write(content)
    if artifact.used:
        record_used(run, made)
    else:
        run.log_artifact(made)


def room(folder: Path) -> bool:
    """Return whether ``folder`` takes more of W&B's records; on a full disk W&B drops them without a word."""
    return shutil.disk_usage(folder).free >= _ROOM


_ROOM = 65536  # bytes; a write in W&B's record is at most half of it


@dataclass(frozen=True)
class Ending:
    """The record of an offline run at its end, to see later whether all of it was written."""

    run_id: str
    file: Path
    size: int  # bytes, before W&B was told of the end; the end makes it grow

    @classmethod
    def of(cls, run: Run) -> Ending:
        """Return the ending of an open run, before it is finished."""
        file = Path(run.settings.sync_file)
        return cls(run.id, file, file.stat().st_size if file.is_file() else 0)

    def written(self, seconds: float) -> bool:
        """Return whether the end is in the record, or comes within ``seconds``."""
        deadline = time.monotonic() + seconds
        while not (self.file.is_file() and self.file.stat().st_size > self.size):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True


@functools.cache
def _silence_its_threads() -> None:
    """Keep W&B's threads that talk to its service from printing a traceback when that is gone."""
    before = threading.excepthook

    def told(died: threading.ExceptHookArgs) -> None:
        if died.thread is None or died.thread.name not in THREADS:
            before(died)

    threading.excepthook = told


@contextmanager
def _data_in(folder: Path) -> Iterator[None]:
    """Have W&B keep its data in ``folder``; it asks the environment alone, each time."""
    if "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("WANDB_DATA_DIR", None)


def end(service: Popen[bytes] | None = None) -> None:
    """End W&B's service process, unless a notebook has a run of its own open in it; `wandb.init` starts another.

    Args:
        service: kill this one first, with all runs in it: after a failed `wandb.init` or on a dead network it would
            keep the run's id, or wait for uploads; what it recorded stays on disk.
    """
    import wandb

    if wandb.run is not None:
        return
    if service is not None:
        _silence_its_threads()
        service.kill()
    with suppress(Exception, SystemExit):  # W&B leaves the whole program with the exit code of a killed service
        wandb.teardown()
