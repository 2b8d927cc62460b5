from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.training.learning.schedules import LearningRate


def rates(schedule: str, steps: int = 100, epochs: int = 1, **settings: Any) -> list[float]:
    config = TrialConfig(backbone="cnn_residual", epochs=epochs, learning_rate=0.1, schedule=schedule, **settings)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    rate = LearningRate(optimizer, config, steps // epochs)
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
    rate = LearningRate(torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1), config, 1)
    for loss in (1.0, 0.9, 0.95, 0.95):
        rate.end_epoch(loss)
    assert rate.value == pytest.approx(0.1)
    rate.end_epoch(0.95)
    assert rate.value == pytest.approx(0.05)


def test_step_divides_by_ten_twice():
    found = rates("step")
    assert found[49] == pytest.approx(0.1)
    assert found[50] == pytest.approx(0.01)
    assert found[75] == pytest.approx(0.001)
    assert len({round(value, 9) for value in found}) == 3


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "step", "constant"])
def test_the_warm_up_can_be_set(schedule):
    found = rates(schedule, epochs=10, warmup_epochs=2.0)
    assert found[:20] == pytest.approx([0.1 * (step + 1) / 20 for step in range(20)])
    assert found[20] == pytest.approx(0.1)
    assert rates(schedule, epochs=10, warmup_epochs=0.0)[0] == pytest.approx(0.1)
