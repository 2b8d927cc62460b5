"""Checkpoints of one run: the last epoch to go on from, and the best one to keep.

A folder holds ``state.pt`` (epoch, optimiser, schedule, history; read with ``weights_only=True``), the weights that
it names, and ``best.safetensors``.  ``state.pt`` is replaced last and in one step, so a run that dies at any instant
leaves a checkpoint that is whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from fer_tune.errors import UserError
from fer_tune.filing.files import replacing
from fer_tune.filing.layout import BEST, STATE
from fer_tune.models.weights.tensors import read_tensors

KEPT = 2  # checkpoints of a trial that Ray keeps: a death while the newest is copied leaves the one before


class Keeper(Protocol):
    """Keeps the checkpoints of a run."""

    def keep(
        self,
        folder: Path,
        epoch: int,
        model: nn.Module,
        state: Callable[[], dict[str, Any]],
        best: nn.Module | None,
        classes: Sequence[str],
        finished: bool,
    ) -> None:
        """Keep what follows from an epoch that was trained.

        Args:
            folder: of this machine, for the run alone.
            epoch: 1-based.
            model: with the weights of the epoch.
            state: returns what belongs to them: tensors, numbers, strings, lists and dicts only.
            best: what is the best so far, if it is of this epoch.
            classes: of the dataset, see `save`.
            finished: whether the run ends here.
        """

    def settle(self, folder: Path) -> None:
        """Wait until nothing is written any more, and have the newest checkpoint in ``folder``, to go on from."""


class EveryEpoch:
    """Writes the checkpoint of each epoch before the next one begins."""

    def keep(
        self,
        folder: Path,
        epoch: int,
        model: nn.Module,
        state: Callable[[], dict[str, Any]],
        best: nn.Module | None,
        classes: Sequence[str],
        finished: bool,
    ) -> None:
        """See `Keeper`."""
        save(folder, epoch, model, state(), best, classes)

    def settle(self, folder: Path) -> None:
        """See `Keeper`."""


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
    with _last(folder, epoch, model.state_dict(), state, classes):
        if best is not None:
            save_best(folder, best.state_dict(), classes)


def save_best(folder: Path, weights: dict[str, torch.Tensor], classes: Sequence[str]) -> None:
    """Write ``weights`` as the best so far."""
    with replacing(folder / BEST, alone=True) as file:
        _save(_weights(weights), file, _about(classes))


def save_last(
    folder: Path, epoch: int, weights: dict[str, torch.Tensor], state: dict[str, Any], classes: Sequence[str]
) -> None:
    """Write what a run goes on from after ``epoch``; the best weights are left as they are."""
    with _last(folder, epoch, weights, state, classes):
        pass


@contextmanager
def _last(
    folder: Path, epoch: int, weights: dict[str, torch.Tensor], state: dict[str, Any], classes: Sequence[str]
) -> Iterator[None]:
    """Write it, and in between do what is in the block: the state, written last, makes both count."""
    name = f"epoch_{epoch:04d}.safetensors"
    with replacing(folder / name, alone=True) as file:
        _save(_weights(weights), file, _about(classes))
    yield
    with replacing(folder / STATE, alone=True) as file:
        _save_state({**state, "epoch": epoch, "weights": name}, file)
    for old in folder.glob("epoch_*.safetensors"):
        if old.name != name:
            old.unlink(missing_ok=True)


def _save(weights: dict[str, torch.Tensor], file: Path, about: dict[str, str] | None) -> None:
    """Write weights; safetensors wraps what the system answers, such as that the disk is full, into its own error."""
    try:
        save_file(weights, file, about)
    except SafetensorError as error:
        if told := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(told[1]), os.strerror(int(told[1])), str(file)) from None
        raise


def _save_state(state: dict[str, Any], file: Path) -> None:
    """Write what is no weights; PyTorch tells of a full disk as a RuntimeError of its writer, without the cause."""
    try:
        torch.save(state, file)
    except RuntimeError:
        try:
            with file.open("ab") as rest:
                rest.write(bytes(2**20))  # larger than any buffer: the system says what it said to PyTorch
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(file)) from None
        raise


def on_the_cpu(value: Any) -> Any:
    """Return a copy of tensors, in dicts and lists too, that later training does not touch.

    >>> on_the_cpu({"a": [torch.ones(2), 3]})
    {'a': [tensor([1., 1.]), 3]}
    """
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: on_the_cpu(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(on_the_cpu(each) for each in value)
    return value


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


def _about(classes: Sequence[str]) -> dict[str, str] | None:
    return {"classes": json.dumps([*classes])} if classes else None


def _weights(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}
