from __future__ import annotations

import numpy as np
import torch

from fer_tune.config import TrialConfig
from fer_tune.data.batching.batches import Batches
from fer_tune.training.evaluation import build_model, predict

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
