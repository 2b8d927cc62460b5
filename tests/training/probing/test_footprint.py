"""What a network costs: its size as it is, its latency as it goes, and nothing moved by measuring."""

from __future__ import annotations

import torch
from drawing import tiny_dataset

from fer_tune.config import trial_config
from fer_tune.training.evaluation import build_model
from fer_tune.training.probing.footprint import footprint


def test_size_and_latency_of_a_network(tmp_path):
    card = tiny_dataset(tmp_path / "tiny", n_train=14, n_val=7, n_test=7)

    def of(size: int | None) -> dict[str, float]:
        config = trial_config({"backbone": "cnn_simpler", "epochs": 1, "image_size": size, "weights": "/absent.pt"})
        return footprint(config, card, "cpu")

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    small, large = of(None), of(192)
    assert torch.equal(torch.rand(1), expected)  # a trial that is measured trains as one that is not
    model = build_model(trial_config({"backbone": "cnn_simpler", "epochs": 1}), card)
    assert small["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert 0 < small["latency_ms"] < large["latency_ms"]  # 24 pixels against 192
