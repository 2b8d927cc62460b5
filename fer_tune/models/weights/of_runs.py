"""Where earlier runs of this project keep their best weights, so that another can start from them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import yaml

from fer_tune.errors import UserError
from fer_tune.filing.layout import BEST, REFITS, SETTINGS, STATE, TRIALS, is_result_on_train, trial_folder
from fer_tune.models.weights.words import some
from fer_tune.objectives import Aim, aim_of

_HUB = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".pth.tar", ".pt.tar", ".npz")


class Folder(Protocol):
    """A folder on this machine or in an object store, as far as it is looked into."""

    def names(self, below: str = "") -> list[str]:
        """Return the names of the files in the folder; with ``below``, of all files in and under that folder of it.

        Names are relative to the folder itself, such as ``refit/cnn_residual-0a1b2c3d/seed_0/result.json``.
        """

    def read(self, name: str) -> bytes:
        """Return what a file holds."""


def find_weights(source: Path, backbone: str | None = None) -> Path:
    """Return the weights file that ``source`` stands for.

    Args:
        source: a file is taken as it is. A folder with ``best.safetensors`` (a checkpoint, a refit, a published run)
            stands for that file. A run folder stands for its best refit by what it was searched for, or, before any
            refit, its best trial. Any other folder stands for the weights in it by the name that the Hugging Face hub
            gives them, or for the only file of weights in it.
        backbone: prefer the trials of this backbone where the run has some.

    Raises:
        UserError: nothing there, or a folder without weights.
    """
    source = source.expanduser()
    if source.name == STATE and (source.parent / BEST).is_file():  # the state of a checkpoint: no weights in it
        source = source.parent
    if not source.is_dir():
        return source
    return source / best_in(_Local(source), str(source), backbone)


def best_in(folder: Folder, told: str, backbone: str | None = None) -> str:
    """Return the name of the weights file that a folder stands for, relative to it; see :func:`find_weights`.

    Args:
        folder: to look into.
        told: what a message calls it.
        backbone: whose trials are preferred.

    Raises:
        UserError: it holds no weights.
    """
    names = folder.names()
    if BEST in names:
        return BEST
    if SETTINGS not in names:
        return _the_only(names, told)
    aim = _aim(folder, told)
    found = _best_refit(folder, backbone, aim) or (_best_trial(folder, told, backbone, aim) if TRIALS in names else "")
    if not found:
        raise UserError(f"{told}: a run folder without weights of a trial; let it train an epoch first")
    return found


def _the_only(names: list[str], told: str) -> str:
    """Return the name of the weights in a folder that no run of ours left.

    Raises:
        UserError: there are none, or it is not clear which are meant.
    """
    if hub := next((name for name in _HUB if name in names), None):
        return hub
    found = sorted(name for name in names if name.lower().endswith(_SUFFIXES))
    if not found:
        raise UserError(
            f"{told}: no weights here: neither {BEST}, nor a run folder ({SETTINGS}), nor a file that is named as "
            f"weights are ({', '.join(_SUFFIXES)})"
        )
    if len(found) > 1:
        raise UserError(f"{told}: several weights files are here ({some(found)}); name the one that is meant")
    return found[0]


def _aim(folder: Folder, told: str) -> Aim:
    """Return what the trials of a run were judged by, as its settings say.

    Raises:
        UserError: they are damaged.
    """
    try:
        return aim_of(yaml.safe_load(folder.read(SETTINGS))["objectives"])
    except (yaml.YAMLError, TypeError, KeyError, IndexError):
        raise UserError(
            f"{told}: its {SETTINGS} is damaged and does not say by what trials are judged; name the file of weights "
            f"that is meant, such as refit/NAME/seed_1001/{BEST}"
        ) from None


def _best_refit(folder: Folder, backbone: str | None, aim: Aim) -> str:
    """Return the weights of the best refit that is done; empty where none is."""
    names = folder.names(REFITS)
    found: list[tuple[str, Any, str]] = []
    for name in sorted(names):
        weights = f"{name.rpartition('/')[0]}/{BEST}"
        if is_result_on_train(name) and weights in names:  # one on validation too has none to go by
            try:
                result = dict(json.loads(folder.read(name)))
            except (ValueError, TypeError):  # damaged: the others are there
                continue
            of = str(result.get("config_id", "")).rpartition("-")[0]  # e.g. cnn_residual-0a1b2c3d
            found.append((of, result.get(aim.column), weights))
    return next(iter(_best_first(found, backbone, aim)), "")


def _best_trial(folder: Folder, told: str, backbone: str | None, aim: Aim) -> str:
    """Return the weights of the best trial that left weights; empty where none did.

    Raises:
        UserError: the table of trials is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(folder.read(TRIALS)), columns=["trial_id", "backbone", aim.column])
        rows = table.to_pylist()
    except pa.ArrowInvalid as error:
        cure = "`fer-tune resume` writes it anew, or name the file of weights that is meant"
        raise UserError(f"{told}: its {TRIALS} is damaged ({error}); {cure}") from None
    trials = ((row["backbone"], row[aim.column], row["trial_id"]) for row in rows)
    for trial in _best_first(trials, backbone, aim):
        weights = f"{trial_folder(trial)}/{BEST}"
        if weights in folder.names(trial_folder(trial)):
            return weights
    return ""


def _best_first(found: Iterable[tuple[str, Any, str]], backbone: str | None, aim: Aim) -> list[str]:
    """Return the last of each (backbone, value, name): the best first, those of ``backbone`` before all.

    Those without a value are left out.
    """
    known = [each for each in found if isinstance(each[1], float) and math.isfinite(each[1])]
    known.sort(key=lambda each: (each[0] != backbone, -aim.key(each[1])))
    return [name for _, _, name in known]


class _Local:
    """A folder on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self, below: str = "") -> list[str]:
        if not below:
            return [entry.name for entry in self._path.iterdir() if entry.is_file()]
        files = ((folder, name) for folder, _, names in os.walk(self._path / below) for name in names)
        return [Path(folder, name).relative_to(self._path).as_posix() for folder, name in files]

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()
