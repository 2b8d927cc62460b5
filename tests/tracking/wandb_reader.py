"""Reads an offline W&B run back, record by record, without wandb's own reader.

The file is a LevelDB log: blocks of 32 KiB, records framed by checksum (4 bytes), length (2) and kind (1), cut
into first, middle and last pieces where they cross a block; 7 bytes of magic stand before the first one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER, FULL, LAST = 32768, 7, 1, 4


@dataclass
class RecordedRun:
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)  # name or pattern -> its step axis
    artifacts: list[str] = field(default_factory=list)  # names
    logged: dict[str, Any] = field(default_factory=dict)  # name -> the record of an artifact
    stats: list[dict[str, Any]] = field(default_factory=list)  # samples of how the machine is used
    exit_code: int | None = None
    files: Path = Path()

    def table(self, key: str) -> list[dict[str, Any]]:
        """Return the rows of a table that was logged as ``key``; of a chart, its table is ``<chart>_table``."""
        (path,) = (row[f"{key}.path"] for row in self.history if f"{key}.path" in row)
        content = json.loads((self.files / path).read_text())
        return [dict(zip(content["columns"], values, strict=True)) for values in content["data"]]

    def content(self, artifact: str) -> dict[str, Path]:
        """Return the files of an artifact: name in it -> where they are."""
        return {entry.path: Path(entry.local_path) for entry in self.logged[artifact].manifest.contents}


def records(file: Path) -> Iterator[Any]:
    data, at, piece = file.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too little room for a frame: zeros up to the next block
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        piece += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(piece)
            yield record
            piece = b""


def read_run(folder: Path) -> RecordedRun:
    (file,) = folder.glob("run-*.wandb")
    out = RecordedRun(files=folder / "files")
    for record in records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            out.run = record.run
            out.config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "config":
            out.config.update(_items(record.config.update))
        elif kind == "history":
            out.history.append(_items(record.history.item))
        elif kind == "summary":
            out.summary.update(_items(record.summary.update))
        elif kind == "metric":
            out.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "artifact":
            out.artifacts.append(record.artifact.name)
            out.logged[record.artifact.name] = record.artifact
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            out.artifacts.append(record.request.log_artifact.artifact.name)
        elif kind == "stats":
            out.stats.append({item.key: json.loads(item.value_json) for item in record.stats.item})
        elif kind == "exit":
            out.exit_code = record.exit.exit_code
    return out


def read_runs(run_folder: Path) -> dict[str, RecordedRun]:
    """Return the offline runs of a run folder by id; the newest where one was recorded twice.

    A run whose W&B died before it wrote anything is left out.
    """
    folders = sorted((run_folder / "wandb").glob("offline-run-*"))
    found = [read_run(folder) for folder in folders if any(folder.glob("*.wandb"))]
    return {run.run.run_id: run for run in found if run.run is not None}


def _items(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
