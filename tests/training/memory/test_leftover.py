"""What trials leave behind: seen when it is kept, given back when it is not."""

from __future__ import annotations

import gc
import math
import weakref
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.training import loop
from fer_tune.training.memory import leftover
from fer_tune.training.memory.leftover import clean_up, default_bound, worn_out
from fer_tune.training.memory.process_memory import process_memory

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="Linux tells private memory")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(leftover, "_begun", [])
    monkeypatch.setattr(leftover, "_settled", [])
    yield
    gc.unfreeze()  # the tests' own process has more to do than train


def trial(leak: list[bytes], mib: int) -> bool:
    """A trial that leaves ``mib`` MiB behind; return whether it found its process worn out."""
    worn = worn_out(bound=100)
    leak.append(b"x" * (mib * 2**20))
    clean_up()
    return worn


def test_a_process_that_trials_fill_is_worn_out_once_the_bound_is_passed():
    leak: list[bytes] = []
    assert [trial(leak, 60) for _ in range(5)] == [False, False, False, True, True]  # 0, -, 60, 120, 180 MiB


def test_what_the_first_trial_leaves_is_what_a_process_needs():
    leak: list[bytes] = []
    trial(leak, 300)
    assert not any(trial(leak, 1) for _ in range(3))


def test_what_a_large_trial_gives_back_is_no_leak():
    """In blocks so small that the C library keeps them, were it not told to give them back."""
    trial([], 0)
    trial([], 0)
    before = process_memory("RssAnon")
    large = [bytes(1000) for _ in range(300_000)]
    assert process_memory("RssAnon") > before + 150  # not 300: some fall into gaps that the process has already
    del large
    clean_up()
    assert process_memory("RssAnon") < before + 40
    assert not worn_out(bound=100)


def test_a_system_that_does_not_tell_wears_nothing_out(monkeypatch):
    monkeypatch.setattr(leftover, "process_memory", lambda field: math.nan)
    assert not any(worn_out(bound=-1) for _ in range(4))


def test_the_bound_follows_the_share_of_the_machine(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert default_bound(2) == pytest.approx(default_bound(8) / 4)
    assert default_bound(16) == default_bound(8)


@pytest.mark.parametrize("error", [SystemExit, RuntimeError])
def test_a_trial_that_ends_by_an_exception_is_let_go_before_the_next(error, monkeypatch):
    """As in `run_trial`: the exception of a stopped trial is still on its way when the process is cleaned up."""
    alive: list[weakref.ref[nn.Module]] = []
    seen: list[bool] = []

    def report() -> None:
        raise error

    def loop() -> None:
        model = nn.Linear(3, 3)
        alive.append(weakref.ref(model))
        try:
            report()
        except error as stopped:
            raise error("ended") from stopped

    collect = gc.collect
    monkeypatch.setattr(gc, "collect", lambda: seen.append(alive[0]() is None) or collect())

    def run_trial() -> None:
        try:
            loop()
        finally:
            clean_up()

    with pytest.raises(error, match="ended"):
        run_trial()
    assert seen == [True]  # gone already when garbage is collected


def test_the_model_of_a_stopped_trial_is_gone_when_garbage_is_collected(tiny, tmp_path, monkeypatch):
    alive: list[weakref.ref[nn.Module]] = []
    seen: list[bool] = []
    assemble, collect = loop.assemble, gc.collect

    def watched(*given: Any) -> Any:
        built = assemble(*given)
        alive.append(weakref.ref(built.model))
        return built

    def stop(metrics: dict[str, Any], _: Path) -> None:
        raise SystemExit  # as Tune ends a trial

    monkeypatch.setattr(loop, "assemble", watched)

    def run_trial() -> None:
        config = TrialConfig(backbone="cnn_simpler", epochs=3, batch_size=30, ema_decay=0.9)
        try:
            loop.train(config, tiny, tmp_path, device="cpu", on_epoch=stop)
        finally:
            monkeypatch.setattr(gc, "collect", lambda: seen.append(alive[0]() is None) or collect())
            clean_up()

    with pytest.raises(SystemExit):
        run_trial()
    assert seen == [True]


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.self = self


def test_libraries_are_looked_through_once_and_garbage_of_each_trial_is_found():
    kept = [[] for _ in range(1000)]
    clean_up()
    frozen = gc.get_freeze_count()
    assert frozen > len(kept)
    assert len(gc.get_objects()) < frozen / 10
    ring = weakref.ref(Ring())
    assert ring() is not None
    clean_up()
    assert ring() is None
    assert gc.get_freeze_count() == pytest.approx(frozen, rel=0.01)  # what the second left is not taken to stay
