"""What ``folds.json`` in the folder of a run over folds holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from fer_tune.data.prepared.folds import FOLDS_FILE, FoldsCard
from fer_tune.filing.files import read_json, write_json
from fer_tune.filing.uris import as_uri, local_path


class FoldsRecord(BaseModel):
    """A search over folds: on which dataset, and what was asked for."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    created: str  # ISO 8601, UTC
    data: str  # folder of the dataset
    dataset: FoldsCard
    asked: dict[str, Any]  # keywords of `fer_tune.search`, but for data, name, storage and output

    def write(self, folder: Path) -> None:
        """Write it into the run's folder."""
        write_json(self, folder / FOLDS_FILE)


def read_record(path: str | Path) -> FoldsRecord | None:
    """Return the record of the run over folds in the folder ``path``; None where it is none, or a URI.

    Raises:
        UserError: it is damaged.
    """
    if as_uri(path):
        return None
    file = local_path(path).expanduser() / FOLDS_FILE
    if not file.is_file():
        return None
    return read_json(FoldsRecord, file, "take it from a backup; the folds' own runs can be read without it")
