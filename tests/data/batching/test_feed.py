"""What a device has no room for comes batch by batch, and is the same to the bit."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import tiny_dataset

from fer_tune.data.batching import feed
from fer_tune.data.batching.batches import Batches
from fer_tune.data.prepared.store import PreparedDataset

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    path: Path = tmp_path_factory.mktemp("data") / "few"
    tiny_dataset(path, n_train=70, n_val=35, n_test=7)
    return PreparedDataset.open(path)


@pytest.fixture
def fed(data: PreparedDataset, monkeypatch: pytest.MonkeyPatch) -> Batches:
    """Batches that take their device, the CPU, for one without room."""
    monkeypatch.setattr(Batches, "resident", False)
    return Batches(data.train(), data.card, CPU)


def same(ours: Any, expected: Any) -> bool:
    return all((a is None and b is None) or torch.equal(a, b) for a, b in zip(ours, expected, strict=True))


@pytest.mark.parametrize(
    "asked",
    [
        {"strength": 0.0},
        {},
        {"mixup": 0.4, "cutmix": 1.0},
        {"rank": 1, "world": 2},
        {"mixup": 0.4, "rank": 0, "world": 2},
    ],
    ids=str,
)
def test_the_batches_are_those_of_a_device_with_room(data, fed, monkeypatch, asked):
    asked = {"strength": 0.5, "seed": 2, "epoch": 3, **asked}
    ours = list(fed.train(20, **asked))
    assert all(drawn.pixels is not None for drawn in fed.drawn(20, **asked))
    monkeypatch.undo()
    expected = list(Batches(data.train(), data.card, CPU).train(20, **asked))
    assert len(ours) == len(expected) == 4
    assert all(same(a, b) for a, b in zip(ours, expected, strict=True))


def test_so_are_those_of_evaluation(data, fed, monkeypatch):
    ours = list(fed.evaluation(16))
    monkeypatch.undo()
    expected = list(Batches(data.train(), data.card, CPU).evaluation(16))
    assert [len(labels) for _, labels in ours] == [16, 16, 16, 16, 6]
    assert all(same(a, b) for a, b in zip(ours, expected, strict=True))


def test_some_batches_are_gathered_ahead_and_no_more(fed, monkeypatch):
    gathered: list[int] = []
    send = feed.Feed._send

    def counted(self: feed.Feed, drawn: Any) -> Any:
        gathered.append(len(drawn.chosen))
        return send(self, drawn)

    monkeypatch.setattr(feed.Feed, "_send", counted)
    batches = fed.drawn(10, 0.0, 1, 1)
    next(batches)
    next(batches)  # the thread has had the time to gather the first three by now or is at it
    assert len(gathered) <= 2 + feed.AHEAD
    batches.close()
    assert len(gathered) <= 2 + feed.AHEAD


def test_nothing_is_left_when_an_epoch_is_left_early(fed):
    before = threading.active_count()
    for _ in fed.drawn(10, 0.0, 1, 1):
        break
    assert threading.active_count() == before


def test_what_goes_wrong_in_the_thread_is_raised(fed, monkeypatch):
    def broken(self: feed.Feed, drawn: Any) -> Any:
        raise OSError("the map is gone")

    monkeypatch.setattr(feed.Feed, "_send", broken)
    with pytest.raises(OSError, match="the map is gone"):
        list(fed.drawn(10, 0.0, 1, 1))
