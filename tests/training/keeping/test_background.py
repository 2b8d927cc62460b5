"""What a trial needs is written while it trains: the best weights always, what it goes on from now and then."""

from __future__ import annotations

import errno
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from pyarrow import fs
from safetensors.torch import load_file
from torch import nn

from fer_tune.config import trial_config
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.training.keeping import checkpoint
from fer_tune.training.keeping.background import AT_ONCE, BackgroundKeeper
from fer_tune.training.loop import train


class Trial:
    """A folder of this machine, and one where the trial is kept, with what a search does with a keeper."""

    def __init__(self, tmp_path: Path, every: float | None = 0.0, **more: Any) -> None:
        self.folder, self.place = tmp_path / "here", tmp_path / "there"
        self.folder.mkdir(exist_ok=True)
        self.keeper = BackgroundKeeper(str(self.place), fs.LocalFileSystem(), every, **more)
        self.named: list[int] = []

    def keep(self, epoch: int, best: bool = True, finished: bool = False) -> None:
        model = network(epoch)
        self.keeper.keep(
            self.folder, epoch, model, lambda: {"seen": epoch}, model if best else None, ["a", "b"], finished
        )

    def report(self) -> int | None:
        """Do what a report does: name a state that is there."""
        epoch = self.keeper.ready()
        if epoch is not None:
            self.keeper.name(epoch)
            self.named.append(epoch)
        return epoch

    def wait(self) -> None:
        """Wait until what was begun is written: one thread writes all of it in turn."""
        self.keeper._thread.submit(int).result()

    def states(self) -> list[str]:
        return sorted(each.name for each in (self.place / "state").glob("*"))

    def best(self) -> float:
        return float(load_file(self.place / "best.safetensors")["weight"][0, 0])


def network(fill: float) -> nn.Linear:
    model = nn.Linear(3, 2)
    for parameter in model.parameters():
        nn.init.constant_(parameter, fill)
    return model


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have nothing written before this is set."""
    go, write = threading.Event(), checkpoint.save_file
    monkeypatch.setattr(checkpoint, "save_file", lambda *arguments: (go.wait(30), write(*arguments)))
    return go


def test_training_does_not_wait_and_changes_nothing_that_is_being_written(
    tmp_path: Path, slow: threading.Event
) -> None:
    trial = Trial(tmp_path)
    model = network(1.0)
    trial.keeper.keep(trial.folder, 1, model, lambda: {"seen": 1}, model, [], False)
    with torch.no_grad():
        model.weight.fill_(2.0)  # training goes on
    assert trial.report() is None
    slow.set()
    trial.wait()
    trial.keeper.close()
    assert trial.best() == 1.0
    went_on = network(0.0)
    checkpoint.load(trial.place / "state" / "epoch_0001", went_on)
    assert float(went_on.weight[0, 0].detach()) == 1.0


@pytest.mark.parametrize("last_word", [False, True])
def test_the_end_and_a_group_s_report_wait_for_the_best_weights(
    tmp_path: Path, slow: threading.Event, last_word: bool
) -> None:
    trial = Trial(tmp_path, every=3600, last_word=last_word)
    later = threading.Timer(0.3, slow.set)
    later.start()
    trial.keep(1, finished=not last_word)
    assert slow.is_set()
    assert trial.best() == 1.0
    assert trial.states() == []
    trial.keeper.close()


def test_of_best_weights_that_wait_the_newest_is_written(tmp_path: Path, slow: threading.Event) -> None:
    trial = Trial(tmp_path, every=3600)
    for epoch in range(1, 9):
        trial.keep(epoch)
    slow.set()
    trial.keeper.close()
    assert trial.best() == 8.0


def test_a_state_has_the_best_weights_of_its_time(tmp_path: Path, slow: threading.Event) -> None:
    trial = Trial(tmp_path)
    trial.keep(1)
    trial.keep(2)
    slow.set()
    trial.wait()
    trial.keeper.close()
    assert trial.best() == 2.0
    assert float(load_file(trial.place / "state/epoch_0001/best.safetensors")["weight"][0, 0]) == 1.0


def test_states_that_were_named_are_there_and_older_ones_go(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    for epoch in range(1, 40):
        trial.keep(epoch, best=epoch == 1)
        trial.wait()
        assert len(trial.states()) <= AT_ONCE
        trial.report()
    trial.keeper.close()
    assert trial.states() == [f"epoch_{epoch:04d}" for epoch in trial.named[-checkpoint.KEPT :]]
    again = Trial(tmp_path)
    here = tmp_path / "another"
    again.keeper.fetch(trial.named[-1], here)
    went_on = network(0.0)
    state = checkpoint.load(here, went_on)
    assert state is not None
    assert state["seen"] == state["epoch"] == trial.named[-1] == float(went_on.weight[0, 0].detach())
    again.keeper.close()


def test_a_trial_goes_back_to_the_best_weights_of_what_it_goes_on_from(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    trial.keep(1)
    trial.wait()
    trial.report()
    trial.keep(2)
    trial.keeper.close()
    assert trial.best() == 2.0  # of an epoch that nobody heard of
    again = Trial(tmp_path)
    again.keeper.fetch(1, tmp_path / "another")
    assert again.best() == 1.0
    again.keeper.fetch(7, tmp_path / "nothing")  # a state that is gone: it begins anew
    assert not (tmp_path / "nothing").exists()
    again.keeper.close()


def test_states_are_as_far_apart_as_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("fer_tune.training.keeping.background.time.monotonic", lambda: clock[0])
    trial = Trial(tmp_path, every=60)
    for epoch in range(1, 31):
        clock[0] += 10
        trial.keep(epoch)
        trial.wait()
        trial.report()
    trial.keeper.close()
    assert trial.named == [6, 12, 18, 24, 30]


def test_unasked_writing_takes_a_tenth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, write = [100.0], BackgroundKeeper._write_state
    monkeypatch.setattr("fer_tune.training.keeping.background.time.monotonic", lambda: clock[0])

    def takes_two_seconds(self: BackgroundKeeper, *arguments: Any) -> None:
        clock[0] += 2
        write(self, *arguments)

    monkeypatch.setattr(BackgroundKeeper, "_write_state", takes_two_seconds)
    trial = Trial(tmp_path, every=None)
    for epoch in range(1, 41):  # a second each
        trial.keep(epoch)
        trial.wait()
        trial.report()
        clock[0] += 1
    assert trial.named[0] == 1  # nothing is known of its cost yet, and much may be lost without it
    apart = [after - before for before, after in pairwise(trial.named)]
    assert set(apart) == {18}  # 20 seconds from one to the next, of which writing took two
    trial.keeper.close()


def test_what_cannot_be_written_is_told_to_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    trial = Trial(tmp_path)
    trial.keep(1)
    trial.wait()
    with pytest.raises(OSError, match="No space left"):
        trial.keep(2)
    trial.keeper.close()


def test_a_state_that_could_not_be_written_is_named_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    trial = Trial(tmp_path)
    trial.keep(1)
    trial.wait()
    assert trial.report() is None
    trial.keeper.close()


def test_what_goes_on_in_the_same_process_goes_on_from_the_newest_state(tmp_path: Path) -> None:
    trial = Trial(tmp_path)
    trial.keep(1)
    trial.keeper.settle(trial.folder)
    trial.report()
    trial.keep(2)
    trial.keeper.settle(trial.folder)
    trial.keep(3)
    trial.keeper.settle(trial.folder)  # epoch 2 waits to be named, and epoch 3 was the best
    went_on = network(0.0)
    state = checkpoint.load(trial.folder, went_on)
    assert state is not None
    assert (state["epoch"], float(went_on.weight[0, 0].detach()), trial.best()) == (2, 2.0, 2.0)
    trial.keeper.close()


@pytest.mark.parametrize("links", [True, False])
def test_a_state_shares_its_best_weights_where_the_disk_has_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refused(*arguments: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr("fer_tune.training.keeping.background.os.link", refused)
    trial = Trial(tmp_path)
    trial.keep(1)
    trial.wait()
    kept = trial.place / "state/epoch_0001/best.safetensors"
    assert kept.samefile(trial.place / "best.safetensors") is links
    trial.keep(2)
    trial.wait()
    assert float(load_file(kept)["weight"][0, 0]) == 1.0
    trial.keeper.close()


class Died(Exception):  # noqa: N818
    pass


def test_a_trial_that_died_ends_as_one_that_did_not_to_the_bit(tiny: PreparedDataset, tmp_path: Path) -> None:
    config = trial_config(
        {"backbone": "cnn_simpler", "epochs": 6, "batch_size": 16, "ema_decay": 0.9, "learning_rate": 1e-2}
    )
    whole = train(config, tiny, tmp_path / "whole", device="cpu").history
    trial = Trial(tmp_path)

    def dies(metrics: dict[str, Any], _: Path) -> None:
        trial.wait()
        trial.report()
        if metrics["epoch"] == 4:
            raise Died

    with pytest.raises(Died):
        train(config, tiny, trial.folder, device="cpu", on_epoch=dies, keeper=trial.keeper)
    trial.keeper.close()
    again = Trial(tmp_path, every=3600)
    again.folder = tmp_path / "another"
    again.keeper.fetch(trial.named[-1], again.folder)
    history = train(config, tiny, again.folder, device="cpu", keeper=again.keeper).history
    again.keeper.close()
    timed = {"seconds", "data_seconds", "steps_seconds", "evaluation_seconds", "images_per_second", "peak_memory_mib"}
    for one, other in zip(whole, history, strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}
    kept, expected = (load_file(path / "best.safetensors") for path in (again.place, tmp_path / "whole"))
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name], expected[name]) for name in kept)
