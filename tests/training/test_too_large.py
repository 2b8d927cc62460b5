"""A batch that does not fit into memory: split, gone on with, remembered, and given up where it fits in no parts."""

from __future__ import annotations

from typing import Any

import pytest
import ray.train
import torch

from fer_tune.config import TrialConfig
from fer_tune.kinds import TOO_LARGE
from fer_tune.training import ray_worker
from fer_tune.training.evaluation import Evaluation
from fer_tune.training.loop import train
from fer_tune.training.memory.parts import SMALLEST, more_parts
from fer_tune.training.ray_worker import TrialSetup, run_trial
from fer_tune.training.steps.step import Step


def config(**changes: Any) -> TrialConfig:
    return TrialConfig(**{"backbone": "cnn_simpler", "epochs": 2, "batch_size": 64, "augmentation": 0.0, **changes})


@pytest.fixture
def room(monkeypatch):
    """A device with room for so many images at once; what has gone through it."""
    seen: dict[str, Any] = {"room": 20, "sizes": [], "from": 0}
    own = Step._backward

    def backward(self, images, *more):
        seen["sizes"].append(len(images))
        if len(seen["sizes"]) > seen["from"] and len(images) > seen["room"]:
            raise torch.OutOfMemoryError(f"no room for {len(images)} images")
        return own(self, images, *more)

    monkeypatch.setattr(Step, "_backward", backward)
    return seen


def test_a_batch_is_split_until_it_fits_and_not_further():
    tried, parts = [], 1
    while parts is not None:
        tried.append(parts)
        parts = more_parts(parts, 64)
    assert tried == [1, 2, 4, 8]
    assert 64 // tried[-1] == SMALLEST
    assert more_parts(1, 2 * SMALLEST - 1) is None


def test_a_run_that_does_not_fit_is_trained_with_its_batches_in_parts(tiny, tmp_path, room):
    outcome = train(config(), tiny, tmp_path)
    assert [metrics["parts"] for metrics in outcome.history] == [4, 4]
    assert room["sizes"][:3] == [64, 32, 16]
    assert max(room["sizes"][3:]) == 16
    assert outcome.history[-1]["train_loss"] < outcome.history[0]["train_loss"]
    assert [metrics["parts"] for metrics in train(config(), tiny, tmp_path / "roomy", parts=2).history] == [4, 4]


def test_it_goes_on_from_its_last_checkpoint_and_a_resume_knows_the_parts(tiny, tmp_path, room):
    steps = round(len(tiny.train()) / 64)
    room |= {"from": steps, "room": 40}  # the first epoch fits: what else is on the device grows
    seen: list[int] = []

    def stop(metrics, _):
        seen.append(metrics["epoch"])
        if metrics["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config(epochs=3), tiny, tmp_path, on_epoch=stop)
    assert seen == [1, 2]
    room["sizes"].clear()
    outcome = train(config(epochs=3), tiny, tmp_path)
    assert [metrics["parts"] for metrics in outcome.history] == [1, 2, 2]
    assert max(room["sizes"]) == 32  # the whole batch is not tried again


def test_what_fits_in_no_parts_says_so(tiny, tmp_path, room):
    room["room"] = SMALLEST - 1
    with pytest.raises(torch.OutOfMemoryError, match=r"also with the batch in 8 parts: no room for 8 images"):
        train(config(), tiny, tmp_path)
    assert room["sizes"] == [64, 32, 16, 8]


def test_evaluation_takes_smaller_batches_too(tiny, room, monkeypatch, tmp_path):
    sizes = []
    own = Evaluation.__init__

    def noted(self, *given):
        own(self, *given)
        sizes.append(self.size)

    monkeypatch.setattr(Evaluation, "__init__", noted)
    train(config(epochs=1), tiny, tmp_path)
    assert sizes == [256, 128, 64]


def run(monkeypatch, fits, workers: int = 1) -> tuple[list[int], list[dict[str, Any]]]:
    """Run a trial whose trainer knows how many parts fit; return those tried, and what was reported."""
    tried: list[int] = []
    reported: list[dict[str, Any]] = []

    class Trainer:
        def __init__(self, function, *, train_loop_config, **more):
            self.parts = train_loop_config["parts"]

        def fit(self):
            tried.append(self.parts)
            if self.parts < fits:
                error = torch.OutOfMemoryError("CUDA out of memory")
                raise error if workers == 1 else ray_worker.WorkerGroupError("two workers", {0: error})

    monkeypatch.setattr(ray_worker, "TorchTrainer", Trainer)
    monkeypatch.setattr(ray_worker, "TuneReportCallback", ray.train.UserCallback)  # Ray's asks for a real trial
    monkeypatch.setattr(ray_worker, "trial_storage", lambda: ("/nowhere", None))
    monkeypatch.setattr(ray_worker.tune, "report", reported.append)
    run_trial({"backbone": "cnn_simpler", "epochs": 1, "batch_size": 64}, TrialSetup("d", 1, 0, workers))
    return tried, reported


def test_workers_begin_again_together_with_twice_as_many_parts(monkeypatch):
    assert run(monkeypatch, 4, workers=2) == ([1, 2, 4], [])


def test_a_trial_that_fits_in_no_parts_is_too_large_and_no_failure(monkeypatch):
    tried, (result,) = run(monkeypatch, 99, workers=2)
    assert tried == [1, 2, 4]  # 32 images for each worker
    assert result[TOO_LARGE]
    assert result["error"].startswith("out of memory at batch_size 64")
    assert run(monkeypatch, 99)[1][0][TOO_LARGE]
