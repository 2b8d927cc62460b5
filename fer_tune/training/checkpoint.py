"""Checkpoints of one run: the last epoch to go on from, and the best one to keep.

A folder holds ``state.pt`` (epoch, optimiser, schedule, history; read with ``weights_only=True``), the weights that
it names, and ``best.safetensors``.  ``state.pt`` is replaced last and in one step, so a run that dies at any instant
leaves a checkpoint that is whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from fer_tune.errors import UserError
from fer_tune.files import replacing
from fer_tune.layout import BEST, STATE
from fer_tune.models.tensors_file import read_tensors

KEPT = 2  # checkpoints of a trial that Ray keeps: a death while the newest is copied leaves the one before


def save(
    folder: Path,
    epoch: int,
    model: nn.Module,
    state: dict[str, Any],
    best: nn.Module | None,
    classes: Sequence[str] = (),
) -> None:
    """Write the checkpoint of ``epoch``, and ``best`` as the best weights so far, if given.

    ``classes`` are written into the weights, so that whoever starts from them knows what their classifier tells apart.
    ``state`` holds tensors, numbers, strings, lists and dicts only.
    """
    about = {"classes": json.dumps([*classes])} if classes else None
    name = f"epoch_{epoch:04d}.safetensors"
    with replacing(folder / name, alone=True) as file:
        save_file(_weights(model), file, about)
    if best is not None:
        with replacing(folder / BEST, alone=True) as file:
            save_file(_weights(best), file, about)
    with replacing(folder / STATE, alone=True) as file:
        torch.save({**state, "epoch": epoch, "weights": name}, file)
    for old in folder.glob("epoch_*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)


def load(folder: Path, model: nn.Module) -> dict[str, Any] | None:
    """Load the last epoch's weights into ``model`` and return its state, or None where there is no checkpoint.

    Raises:
        UserError: the checkpoint is damaged, or of another network.
    """
    if not (folder / STATE).is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        model.load_state_dict(read_tensors(folder / state["weights"])[0])
    except Exception as error:  # torch and safetensors raise many kinds on a damaged file
        told = " ".join(str(error).split())[:300]
        raise UserError(
            f"{folder}: the checkpoint cannot be gone on from ({type(error).__name__}: {told}); it is damaged, or "
            "another version wrote it: remove the folder to begin anew"
        ) from error
    return state


def drop_last(folder: Path) -> None:
    """Remove what only a resume needs, and keep the best weights: for a run that is finished."""
    (folder / STATE).unlink(missing_ok=True)
    for file in folder.glob("epoch_*.safetensors"):
        file.unlink()


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
