from __future__ import annotations

import pytest
import torch
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.training.optimisers import LearningRate, build_optimizer


def rates(schedule: str, steps: int = 100) -> list[float]:
    config = TrialConfig(backbone="cnn_residual", epochs=1, learning_rate=0.1, schedule=schedule)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    rate = LearningRate(optimizer, config, steps)
    found = []
    for _ in range(steps):
        found.append(rate.value)
        optimizer.step()
        rate.step()
    return found


@pytest.mark.parametrize(("schedule", "peak"), [("one_cycle", 30), ("cosine", 5)])
def test_warm_up_then_cosine_to_nothing(schedule, peak):
    found = rates(schedule)
    assert found.index(max(found)) in (peak - 1, peak)
    assert max(found) == pytest.approx(0.1)
    assert found[0] < 0.1 * 2 / peak
    assert found[-1] < 0.001
    assert found[peak:] == sorted(found[peak:], reverse=True)


def test_constant_is_constant():
    assert set(rates("constant")) == {0.1}


def test_plateau_halves_after_two_epochs_without_a_lower_loss():
    config = TrialConfig(backbone="cnn_residual", epochs=9, learning_rate=0.1, schedule="plateau")
    rate = LearningRate(torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1), config, 9)
    for loss in (1.0, 0.9, 0.95, 0.95):
        rate.end_epoch(loss)
    assert rate.value == pytest.approx(0.1)
    rate.end_epoch(0.95)
    assert rate.value == pytest.approx(0.05)


def test_weight_decay_leaves_out_norms_and_biases():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    config = TrialConfig(backbone="cnn_residual", epochs=1, weight_decay=0.3)
    decayed, free = build_optimizer(model, config).param_groups
    assert [parameter.ndim for parameter in decayed["params"]] == [4]
    assert decayed["weight_decay"] == 0.3
    assert len(free["params"]) == 3
    assert free["weight_decay"] == 0
