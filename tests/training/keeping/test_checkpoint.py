"""A checkpoint is whole at any instant, or told to be damaged."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fer_tune.errors import UserError
from fer_tune.models.weights.file import read_weights
from fer_tune.training.keeping import checkpoint


def network(fill: float) -> nn.Linear:
    model = nn.Linear(3, 2)
    for parameter in model.parameters():
        nn.init.constant_(parameter, fill)
    return model


def loaded(folder: Path) -> tuple[int, float]:
    """The epoch that a resume goes on from, and the weights it has by then."""
    model = network(0.0)
    state = checkpoint.load(folder, model)
    assert state is not None
    assert state["seen"] == state["epoch"]
    return state["epoch"], float(model.weight[0, 0].detach())


def write(folder: Path, epoch: int) -> None:
    checkpoint.save(folder, epoch, network(epoch), {"seen": epoch}, best=network(epoch))


def test_the_last_and_the_best_are_kept_and_nothing_else(tmp_path):
    assert checkpoint.load(tmp_path, network(0)) is None
    for epoch in (1, 2, 3):
        write(tmp_path, epoch)
    assert loaded(tmp_path) == (3, 3.0)
    assert sorted(os.listdir(tmp_path)) == ["best.safetensors", "epoch_0003.safetensors", "state.pt"]


@pytest.mark.parametrize("death", range(6))
def test_a_death_while_writing_leaves_the_epoch_before_or_the_new_one(tmp_path, monkeypatch, death):
    write(tmp_path, 1)
    write(tmp_path, 2)
    steps = 0

    def dying(act):
        def instead(*arguments):
            nonlocal steps
            if steps == death:
                raise KeyboardInterrupt
            steps += 1
            return act(*arguments)

        return instead

    monkeypatch.setattr(checkpoint, "save_file", dying(checkpoint.save_file))
    monkeypatch.setattr(torch, "save", dying(torch.save))
    monkeypatch.setattr(os, "replace", dying(os.replace))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, 3)
    monkeypatch.undo()
    assert loaded(tmp_path) == (2, 2.0)
    assert float(load_file(tmp_path / "best.safetensors")["weight"][0, 0]) in (2.0, 3.0)
    write(tmp_path, 3)  # as the resumed run does
    assert loaded(tmp_path) == (3, 3.0)


@pytest.mark.parametrize("what", ["the weights", "the state"])
def test_a_disk_that_takes_no_more_is_an_error_of_the_system_with_the_file(tmp_path, what):
    large, small = network(1), {"seen": 1}
    if what == "the weights":
        large = nn.Linear(200, 200)
    else:
        small = {"seen": torch.zeros(40_000)}
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))  # bytes: it answers as a full disk does
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            checkpoint.save(tmp_path, 1, large, small, large, ["sad", "happy"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert caught.value.errno == errno.EFBIG
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.glob("state.pt")) == []


@pytest.mark.parametrize("damage", ["cut short", "no weights", "another network"])
def test_a_damaged_checkpoint_is_told_with_its_folder_and_the_cure(tmp_path, damage):
    write(tmp_path, 1)
    model: nn.Module = network(0.0)
    if damage == "cut short":
        (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:100])
    elif damage == "no weights":
        (tmp_path / "epoch_0001.safetensors").unlink()
    else:
        model = nn.Linear(4, 2)
    with pytest.raises(UserError, match=r"the checkpoint cannot be gone on from .*remove the folder") as caught:
        checkpoint.load(tmp_path, model)
    assert str(caught.value).startswith(f"{tmp_path}: ")


def test_the_classes_stand_in_the_weights(tmp_path):
    checkpoint.save(tmp_path, 1, network(1), {"seen": 1}, network(1), ["sad", "happy"])
    for name in ("best.safetensors", "epoch_0001.safetensors"):
        assert read_weights(tmp_path / name).classes == ("sad", "happy")
