from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.models import create_model
from fer_tune.training.learning.average import MovingAverage
from fer_tune.training.learning.objective import Objective
from fer_tune.training.learning.optimisers import build_optimizer
from fer_tune.training.learning.schedules import LearningRate
from fer_tune.training.metrics import Meter
from fer_tune.training.steps.step import Step

CPU = torch.device("cpu")


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def one_step(network: nn.Module, **settings: Any) -> torch.Tensor:
    """Return how far plain gradient descent at rate 1 moves the weights."""
    config = TrialConfig(backbone="cnn_residual", epochs=1, **settings)
    objective = Objective(config, torch.ones(3, dtype=torch.int64).numpy())
    before = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(16, 4, generator=generator), torch.randint(0, 3, (16,), generator=generator)
    Step(network, torch.optim.SGD(network.parameters(), 1.0), objective, config, CPU, None)(images, labels)
    return before - nn.utils.parameters_to_vector(network.parameters()).detach()


def test_clipping_bounds_the_length_of_the_gradient():
    plain, clipped = one_step(model()), one_step(model(), clip_grad_norm=0.01)
    assert plain.norm() > 0.1
    assert clipped.norm() == pytest.approx(0.01, rel=1e-3)
    assert torch.allclose(clipped / clipped.norm(), plain / plain.norm(), atol=1e-4)


def test_sam_takes_the_gradient_where_the_loss_is_highest_nearby():
    rho, network = 0.05, model()
    gradient = one_step(copy.deepcopy(network))
    climbed = copy.deepcopy(network)
    there = nn.utils.parameters_to_vector(network.parameters()).detach() + rho * gradient / gradient.norm()
    nn.utils.vector_to_parameters(there, climbed.parameters())
    expected = one_step(climbed)
    assert torch.allclose(one_step(network, sam_rho=rho), expected, atol=1e-5)
    assert not torch.allclose(gradient, expected, atol=1e-3)


def test_sam_counts_the_images_once_in_the_batch_norm_statistics():
    plain, sharp = model(), model()
    one_step(plain)
    one_step(sharp, sam_rho=0.05)
    assert torch.equal(plain[1].running_mean, sharp[1].running_mean)
    assert torch.equal(plain[1].running_var, sharp[1].running_var)
    assert sharp[1].momentum == 0.1


def test_bf16_is_close_to_fp32_and_not_equal():
    config = TrialConfig(backbone="cnn_residual", epochs=1)
    network, images, labels = model(), torch.randn(16, 4), torch.randint(0, 3, (16,))
    optimizer = torch.optim.SGD(network.parameters(), 0.0)
    objective = Objective(config, torch.ones(3, dtype=torch.int64).numpy())
    mixed, _ = Step(network, optimizer, objective, config, CPU, torch.bfloat16)(images, labels)
    network.train()
    whole = network(images)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, whole, atol=0.1)
    assert not torch.equal(mixed, whole)


@pytest.mark.parametrize(
    "settings",
    [{}, {"clip_grad_norm": 1.0, "sam_rho": 0.1, "optimizer": "sgd"}, {"label_smoothing": 0.1, "schedule": "cosine"}],
    ids=str,
)
@pytest.mark.parametrize("parts", [1, 3])
def test_nothing_in_a_step_waits_for_the_device(settings, parts, monkeypatch):
    # On a GPU each of these would hold the next step back until this one is done.
    settings = {"backbone": "cnn_residual", "epochs": 2, "precision": "fp32", "class_weighting": "balanced", **settings}
    config = TrialConfig(**settings)
    network = create_model("cnn_simpler", num_classes=7, in_chans=1).train()
    optimizer = build_optimizer(network, config)
    step = Step(network, optimizer, Objective(config, np.arange(1, 8)), config, CPU, None, parts=parts)
    rate, meter = LearningRate(optimizer, config, 10), Meter(7, CPU, room=16)
    average = MovingAverage(network, 0.9)
    images, labels, shares = torch.randn(8, 1, 48, 48), torch.arange(8) % 7, torch.full((8,), 0.3)
    step(images, labels)  # the first one makes the optimiser's state

    def waits(*_: object) -> None:
        raise AssertionError("a number was read back")

    for name in ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, waits)
    logits, loss = step(images, labels, labels.flip(0), shares)
    rate.step()
    average.advance(2)
    average.update()
    meter.update(logits, labels, loss)
    with pytest.raises(AssertionError, match="read back"):
        meter.finite()  # which the loop asks every hundred steps


@pytest.mark.parametrize("images", [16, 13, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"class_weighting": "balanced", "label_smoothing": 0.1},
        {"mixup": 0.4, "class_weighting": "effective_number"},
        {"sam_rho": 0.1, "clip_grad_norm": 0.5},
    ],
    ids=str,
)
def test_the_gradients_of_parts_add_up_to_the_same_step(settings, images):
    config = TrialConfig(backbone="cnn_residual", epochs=1, **settings)
    counts = np.array([1000, 30, 200])
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(images, 4, generator=generator)
    targets: list[torch.Tensor | None] = [torch.randint(0, 3, (images,), generator=generator)]
    if config.mixup:
        targets += [targets[0].flip(0), torch.rand(images, generator=generator)]
    found = []
    for parts in (1, 4):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.ReLU(), nn.Linear(5, 3))
        optimizer = torch.optim.SGD(network.parameters(), 1.0)
        step = Step(network, optimizer, Objective(config, counts), config, CPU, None, parts=parts)
        logits, loss = step(inputs, *targets)
        found.append([*network.parameters(), logits, loss])
    for whole, split in zip(*found, strict=True):
        torch.testing.assert_close(split, whole, atol=1e-6, rtol=1e-5)


def test_each_part_has_batch_statistics_of_its_own_that_move_the_running_ones_as_one_batch_does():
    config = TrialConfig(backbone="cnn_residual", epochs=1)
    part = torch.randn(4, 4, generator=torch.Generator().manual_seed(1)) + 3
    labels = torch.tensor([0, 1, 2, 0])
    moved = []
    for repeats, parts in ((1, 1), (3, 3)):
        network = model().train()
        step = Step(
            network, torch.optim.SGD(network.parameters(), 0.0), nn.CrossEntropyLoss(), config, CPU, None, None, parts
        )
        step(part.repeat(repeats, 1), labels.repeat(repeats))
        assert network[1].momentum == 0.1  # as it was
        moved.append([network[1].running_mean, network[1].running_var])
    for one, three in zip(*moved, strict=True):
        torch.testing.assert_close(three, one)
    network = model().train()
    Step(network, torch.optim.SGD(network.parameters(), 0.0), nn.CrossEntropyLoss(), config, CPU, None, None, 2)(
        torch.cat([part, part + 100]), labels.repeat(2)
    )
    assert network[1].running_var.max() < 5  # the two parts are far apart, and neither knows of the other
