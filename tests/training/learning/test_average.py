from __future__ import annotations

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from fer_tune.training.learning.average import MovingAverage


def test_it_is_timms_to_the_bit():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
    ours, theirs = MovingAverage(model, 0.9), ModelEmaV3(model, 0.9, use_warmup=True)
    for step in range(1, 60):  # the decay reaches 0.9 after some thirty
        model(torch.randn(8, 4))
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
        ours.advance(step)
        ours.update()
        theirs.update(model, step=step)
    expected = theirs.module.state_dict()
    found = ours.module.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_decay_that_comes_in_a_tensor_gives_the_same_average():
    """As on a GPU, where the update is captured."""
    torch.manual_seed(0)
    model = nn.Linear(4, 5)
    plain, there = MovingAverage(model, 0.9), MovingAverage(model, 0.9)
    there._share = torch.ones(())
    for step in range(1, 40):
        model.weight.data.add_(torch.randn(5, 4))
        for average in (plain, there):
            average.advance(step)
            average.update()
    assert torch.allclose(plain.module.weight, there.module.weight, atol=1e-5)
