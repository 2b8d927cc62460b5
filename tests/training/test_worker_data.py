"""A trial trains on the dataset of its search alone, whatever lies in its place meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import tiny_dataset
from pyarrow import fs

import fer_tune.training.ray_worker as ray_worker
from fer_tune.errors import UserError
from fer_tune.training.failures import verdict


@pytest.mark.parametrize("anew", [False, True])
def test_a_dataset_that_was_prepared_anew_is_not_trained_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, anew: bool
) -> None:
    before = tiny_dataset(tmp_path / "of the search", n_train=7, n_val=7, n_test=7).content_hash
    tiny_dataset(tmp_path / "now", n_train=7, n_val=7, n_test=7, seed=int(anew))
    trained: list[Any] = []
    monkeypatch.setattr(ray_worker, "train", lambda *_, **__: trained.append(1))
    monkeypatch.setattr(ray_worker, "get_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(ray_worker.tune, "get_checkpoint", lambda: None)
    setup = ray_worker.TrialSetup(str(tmp_path / "now"), cpus=1, gpus=0, workers=1, content_hash=before)
    arguments = {"config": {"backbone": "cnn_simpler", "epochs": 1}, "setup": setup, "extra": {}, "parts": 1}
    arguments["place"] = (str(tmp_path / "trial"), fs.LocalFileSystem())
    if not anew:
        ray_worker._train_worker(arguments)
        assert trained == [1]
        return
    with pytest.raises(UserError, match=r"now: not the dataset of this run: .*prepared anew.* --retry-failed") as told:
        ray_worker._train_worker(arguments)
    assert verdict(told.value) == "permanent"  # it is not tried again and again
    assert trained == []
