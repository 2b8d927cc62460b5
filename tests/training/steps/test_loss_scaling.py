"""The loss scaled for float16: nothing but the rounding changes, and what overflows is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.training.learning.objective import Objective
from fer_tune.training.loop import train
from fer_tune.training.steps import loss_scaling
from fer_tune.training.steps.loss_scaling import LossScaling
from fer_tune.training.steps.step import Step

CPU = torch.device("cpu")


KINDS: dict[str, Any] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def step_of(scaling: LossScaling | None, **settings: Any) -> tuple[nn.Linear, Callable[[float], None]]:
    config = TrialConfig(backbone="cnn_residual", epochs=1, **settings)
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = KINDS[config.optimizer](model.parameters(), 0.01, fused=True)
    step = Step(model, optimizer, Objective(config, np.ones(3, dtype=int)), config, CPU, None, scaling)
    images, labels = torch.randn(8, 4), torch.arange(8) % 3
    return model, lambda factor: step(images * factor, labels) and None


@pytest.mark.parametrize(
    "settings",
    [{}, {"optimizer": "sgd", "clip_grad_norm": 0.1}, {"sam_rho": 0.1, "optimizer": "adam"}],
    ids=str,
)
def test_scaled_steps_are_plain_ones(settings):
    """The scale is a power of two: gradients in float32 come to the same, but for SAM's, whose length is added to."""
    plain, one = step_of(None, **settings)
    scaled, other = step_of(LossScaling(CPU), **settings)
    for _ in range(4):
        one(1.0)
        other(1.0)
    assert torch.allclose(plain.weight, scaled.weight, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("settings", [{}, {"clip_grad_norm": 1.0}, {"sam_rho": 0.1}], ids=str)
def test_a_step_that_overflows_is_left_out_and_the_scale_halved(settings):
    scaling = LossScaling(CPU)
    model, step = step_of(scaling, optimizer="sgd", **settings)
    step(1.0)
    before, scale = model.weight.detach().clone(), scaling.state_dict()["scale"]
    step(float("inf"))
    assert torch.equal(model.weight, before)
    assert scaling.state_dict()["scale"] == scale / 2
    step(1.0)
    assert not torch.equal(model.weight, before)


def test_an_attempt_that_broke_off_is_forgotten():
    """As where a step cannot be captured: PyTorch's scaler would refuse the next one."""
    scaling = LossScaling(CPU)
    parameter = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([parameter], 1.0, fused=True)
    for _ in range(2):
        scaling.begin()
        scaling.scaled(parameter.sum()).backward()
        scaling.unscale(optimizer)
    assert len(scaling.tensors()) == 2


def test_only_float16_is_scaled():
    assert LossScaling.needed(torch.float16, CPU) is not None
    assert LossScaling.needed(torch.bfloat16, CPU) is None
    assert LossScaling.needed(None, CPU) is None


def test_the_scale_goes_on_from_the_checkpoint(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(loss_scaling.LossScaling, "needed", classmethod(lambda cls, dtype, device: cls(device)))
    taken: list[dict[str, Any]] = []
    monkeypatch.setattr(LossScaling, "load_state_dict", lambda self, state: taken.append(state))
    config = TrialConfig(backbone="cnn_separable", epochs=2, batch_size=70, precision="fp32")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tiny, tmp_path, device="cpu", on_epoch=die)
    assert taken == []
    train(config, tiny, tmp_path, device="cpu")
    assert [state["_growth_tracker"] for state in taken] == [3]  # steps of an epoch, none of them left out
