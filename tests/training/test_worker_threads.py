"""A trial's threads are its share of the CPUs, also in a process that a trial with another share has used before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import tiny_dataset
from pyarrow import fs

import fer_tune.training.ray_worker as ray_worker


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cpus", "threads"), [(3, 3), (1.5, 1), (0.25, 1)])
def test_threads_follow_the_share(monkeypatch: Any, tmp_path: Path, cpus: float, threads: int) -> None:
    tiny_dataset(tmp_path / "tiny", n_train=7, n_val=7, n_test=7)
    seen = []
    monkeypatch.setattr(ray_worker, "train", lambda *_, **__: seen.append(torch.get_num_threads()))
    monkeypatch.setattr(ray_worker, "get_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(ray_worker.tune, "get_checkpoint", lambda: None)
    torch.set_num_threads(2)
    setup = ray_worker.TrialSetup(str(tmp_path / "tiny"), cpus=cpus, gpus=0, workers=1)
    arguments = {"config": {"backbone": "cnn_simpler", "epochs": 1}, "setup": setup, "extra": {}, "parts": 1}
    ray_worker._train_worker({**arguments, "place": (str(tmp_path / "trial"), fs.LocalFileSystem())})
    assert seen == [threads]
