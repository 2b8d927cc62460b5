"""A dataset in folds: a folder with a prepared dataset for each, and ``folds.json``, which says what they are.

Every person stands in the held-out split of exactly one fold, so that the held-out images of all folds together are all
images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fer_tune.data.prepared.card import permitted
from fer_tune.filing.files import read_json
from fer_tune.filing.uris import as_uri, local_path

FOLDS_FILE = "folds.json"


class Fold(BaseModel):
    """One fold: the name of its folder, the hash of its content, and who and what its held-out split holds."""

    model_config = ConfigDict(extra="forbid")
    name: str
    content_hash: str  # empty after a dry run
    people: int
    images: int


class FoldsCard(BaseModel):
    """What ``folds.json`` holds."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    name: str  # of the dataset
    people: int  # groups in all
    seed: int
    folds: list[Fold]


def fold_name(number: int) -> str:
    """Return the name of the ``number``-th fold's folder, from 1.

    >>> fold_name(3)
    'fold_03'
    """
    return f"fold_{number:02d}"


def read_folds(path: str | Path) -> FoldsCard | None:
    """Return what ``path`` holds where it is a dataset in folds; None where it is anything else, or a URI.

    Raises:
        UserError: its ``folds.json`` is damaged, or may not be read.
    """
    if as_uri(path):
        return None
    file = local_path(path).expanduser() / FOLDS_FILE
    with permitted(file.parent):
        return read_json(FoldsCard, file, "prepare the dataset again") if file.is_file() else None
