from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fer_tune.config import TrialConfig
from fer_tune.data.batching.batches import Batches
from fer_tune.training import evaluation
from fer_tune.training.evaluation import Evaluation, build_model, predict
from fer_tune.training.steps import captured
from fer_tune.training.steps.captured import WARM_UP

CONFIG = TrialConfig(backbone="cnn_residual", epochs=1)


def test_views_average_the_probabilities(tiny):
    torch.manual_seed(0)
    model = build_model(CONFIG, tiny.card).eval()
    (images,) = [images for images, _ in Batches(tiny.val(), tiny.card, torch.device("cpu")).evaluation(1000)]
    with torch.inference_mode():
        straight, mirrored = model(images).softmax(1), model(images.flip(-1)).softmax(1)
    plain = predict(model, tiny.val(), tiny.card, "cpu", batch_size=32)
    flipped = predict(model, tiny.val(), tiny.card, "cpu", batch_size=32, views="flip")
    assert np.allclose(plain, straight, atol=1e-5)
    assert np.allclose(flipped, (straight + mirrored) / 2, atol=1e-5)
    cropped = predict(model, tiny.val(), tiny.card, "cpu", views="ten_crop")
    assert np.allclose(cropped.sum(1), 1, atol=1e-5)
    assert not np.allclose(cropped, flipped, atol=1e-4)


def test_predicts_at_the_size_it_was_trained_with(tiny):
    torch.manual_seed(0)
    model = build_model(CONFIG, tiny.card).eval()
    assert not np.allclose(
        predict(model, tiny.val(), tiny.card, "cpu", image_size=32),
        predict(model, tiny.val(), tiny.card, "cpu"),
        atol=1e-4,
    )


def test_a_network_of_one_size_sees_crops_enlarged(tiny):
    model = build_model(CONFIG.model_copy(update={"backbone": "vit_tiny_patch16_224", "image_size": 48}), tiny.card)
    found = predict(model, tiny.val(), tiny.card, "cpu", views="ten_crop", image_size=48)
    assert found.shape == (len(tiny.val().labels), len(tiny.card.classes))


class Recorder:
    """Stands for a GPU: records without running, and replays by running."""

    def __init__(self, _: torch.device) -> None:
        self.replayed = 0

    def warm_up(self, call: Any) -> bool:
        call()
        return False

    def record(self, call: Any) -> Any:
        def replay() -> None:
            self.replayed += 1
            call()

        return replay

    def held(self) -> float:
        return 7.0


@pytest.fixture
def recorders(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    made: list[Recorder] = []
    monkeypatch.setattr(evaluation, "reason_against", lambda *_: None)
    monkeypatch.setattr(evaluation, "CudaGraphs", lambda device: made.append(Recorder(device)) or made[-1])
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 16)
    return made


def test_evaluation_is_captured_and_follows_the_weights(tiny, recorders, monkeypatch):
    torch.manual_seed(0)
    model = build_model(CONFIG, tiny.card)
    batches = Batches(tiny.val(), tiny.card, torch.device("cpu"))
    judge = Evaluation(model, batches, len(tiny.card.classes), CONFIG, torch.device("cpu"))
    assert judge.held == 7.0
    first = judge()
    assert recorders[0].replayed == len(tiny.val()) // 16 - WARM_UP > 0
    assert judge() == first
    for _ in range(2):  # the short last batch is captured too
        judge()
    assert recorders[0].replayed == 4 * (len(tiny.val()) // 16) - WARM_UP + 1
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    moved = judge()
    monkeypatch.setattr(evaluation, "reason_against", lambda *_: "")
    plain = Evaluation(model.train(), batches, len(tiny.card.classes), CONFIG, torch.device("cpu"))
    assert moved == plain() != first
    assert not model.training
    judge.release()
    assert judge.held == 0
    assert judge() == moved


@pytest.mark.parametrize(("batch_size", "world", "expected"), [(30, 1, 30), (30, 4, 7), (2, 4, 1)])
def test_a_gpu_judges_in_batches_of_the_training_size(tiny, batch_size, world, expected):
    config = CONFIG.model_copy(update={"batch_size": batch_size})
    batches = Batches(tiny.val(), tiny.card, torch.device("cpu"))
    model, classes = build_model(CONFIG, tiny.card), len(tiny.card.classes)
    meta = torch.device("meta")  # no CPU, and here on every machine
    assert Evaluation(model, batches, classes, config, meta, world=world).size == expected
    assert Evaluation(model, batches, classes, config, torch.device("cpu"), world=world).size == 256


def test_an_evaluation_that_cannot_be_captured_is_named_and_goes_on(tiny, recorders, monkeypatch, caplog):
    def refuse(self: Recorder, call: Any) -> Any:
        raise RuntimeError("operation not permitted")

    model, classes = build_model(CONFIG, tiny.card), len(tiny.card.classes)
    batches = Batches(tiny.val(), tiny.card, torch.device("cpu"))
    expected = Evaluation(model, batches, classes, CONFIG, torch.device("cpu"))()
    monkeypatch.setattr(Recorder, "record", refuse)
    captured._say.cache_clear()
    assert Evaluation(model, batches, classes, CONFIG, torch.device("cpu"))() == expected
    assert "evaluation: RuntimeError: operation not permitted" in caplog.text
    assert "training steps" not in caplog.text
