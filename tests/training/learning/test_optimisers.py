from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fer_tune.config import TrialConfig
from fer_tune.models import create_model, stages
from fer_tune.training.learning.optimisers import build_optimizer, frozen_stages


def config(**settings: Any) -> TrialConfig:
    return TrialConfig(**{"backbone": "cnn_residual", "epochs": 10, "learning_rate": 0.1, **settings})


def network() -> nn.Module:
    torch.manual_seed(0)
    return create_model("cnn_residual", num_classes=7, in_chans=1)


def test_weight_decay_leaves_out_norms_and_biases():
    decayed, free = build_optimizer(network(), config(weight_decay=0.3)).param_groups
    assert {parameter.ndim for parameter in decayed["params"]} == {2, 4}
    assert decayed["weight_decay"] == 0.3
    assert {parameter.ndim for parameter in free["params"]} == {1}
    assert free["weight_decay"] == 0


def test_layer_decay_shrinks_the_steps_of_lower_stages():
    model = network()
    optimizer = build_optimizer(model, config(layer_decay=0.5, optimizer="sgd", momentum=0.0, weight_decay=0.0))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    found = stages(model)
    for place, stage in enumerate(found):
        for name in stage.parameters:
            moved = (before[name] - model.get_parameter(name).detach()).flatten()[0]
            assert moved == pytest.approx(0.1 * 0.5 ** (len(found) - place), rel=1e-3)
    assert (before["head.bias"] - model.get_parameter("head.bias").detach())[0] == pytest.approx(0.1, rel=1e-3)
    assert optimizer.param_groups[0]["lr"] == 0.1  # the head's, which is the one on record


def test_what_is_never_trained_is_not_in_the_optimiser():
    model = network()
    found = stages(model)
    optimizer = build_optimizer(model, config(freeze_depth=2))
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in held}
    assert not names & {*found[0].parameters, *found[1].parameters}
    assert {*found[2].parameters, "head.weight"} <= names


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"freeze_depth": 2}, [2, 2, 2, 2, 2]),
        ({"freeze_depth": 2, "unfreeze_epoch": 3}, [2, 2, 1, 0, 0]),
        ({"freeze_depth": 5, "unfreeze_epoch": 5}, [5, 5, 5, 5, 4]),
    ],
)
def test_stages_thaw_one_an_epoch(settings, expected):
    assert [frozen_stages(config(**settings), epoch) for epoch in range(1, 6)] == expected


@pytest.mark.parametrize(("nesterov", "moved"), [(True, -0.19), (False, -0.1)])
def test_nesterov_and_plain_momentum_step_apart(nesterov, moved):
    model = network()
    optimizer = build_optimizer(model, config(optimizer="sgd", nesterov=nesterov, weight_decay=0.0))
    weight = model.get_parameter("head.weight")
    before = weight.detach().clone()
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert torch.allclose(weight.detach() - before, torch.tensor(moved), atol=1e-6)


def test_muon_moves_every_direction_of_a_convolution_alike_and_the_classifier_as_adamw_does():
    model = network()
    optimizer = build_optimizer(model, config(optimizer="muon", weight_decay=0.0, learning_rate=0.01))
    hidden, head = model.get_parameter("blocks.3.second.0.weight"), model.get_parameter("head.weight")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    hidden.grad = torch.randn(256, 8).mm(torch.randn(8, 2304)).view_as(hidden) + 0.5 * torch.randn_like(hidden)
    head.grad = torch.randn_like(head)
    optimizer.step()
    spread = torch.linalg.svdvals(hidden.grad.flatten(1))
    moved = torch.linalg.svdvals((before["blocks.3.second.0.weight"] - hidden.detach()).flatten(1))
    assert spread.max() > 4 * spread.min()
    assert moved.max() < 2 * moved.min()
    assert moved.median() == pytest.approx(0.01 * 0.2 * 2304**0.5, rel=0.3)  # root mean square of AdamW's steps
    steps = (before["head.weight"] - head.detach()).abs()
    assert torch.allclose(steps, steps.median().expand_as(steps), rtol=1e-2)  # the first step of Adam: one size


@pytest.mark.parametrize(
    ("flags", "computed_in"), [("avx2 avx512f", torch.float32), ("avx2 avx512_bf16", torch.bfloat16)]
)
def test_muon_computes_in_what_the_processor_multiplies(flags, computed_in, monkeypatch):
    monkeypatch.setattr("fer_tune.training.learning.muon.processor", lambda: {"flags": flags})
    model = network()
    optimizer = build_optimizer(model, config(optimizer="muon"))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with Products() as products:
        optimizer.step()
    assert products.types == {computed_in}


class Products(TorchDispatchMode):
    """The types in which matrices are multiplied meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in (torch.ops.aten.addmm, torch.ops.aten.mm):
            self.types.add(args[-1].dtype)
        return function(*args, **(kwargs or {}))


def test_muon_decays_weights_and_shrinks_lower_stages():
    model = network()
    optimizer = build_optimizer(model, config(optimizer="muon", weight_decay=0.5, layer_decay=0.5))
    assert optimizer.param_groups[0]["lr"] == 0.1  # the head's, which is the one on record
    weights = {"head.weight": 0.1, "blocks.3.second.0.weight": 0.05, "blocks.0.first.0.weight": 0.1 * 0.5**4}
    before = {name: model.get_parameter(name).detach().clone() for name in weights}
    for name in weights:
        model.get_parameter(name).grad = torch.zeros_like(before[name])
    optimizer.step()
    for name, rate in weights.items():
        assert torch.allclose(model.get_parameter(name).detach(), before[name] * (1 - 0.5 * rate), rtol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "head", "expected"),
    [
        ("deit_tiny_distilled_patch16_224", "own", {"head.weight", "head_dist.weight"}),
        ("cnn_small_vgg", "linear", {"head.weight"}),
        ("cnn_residual", "32-16", {"head.0.weight", "head.3.weight", "head.5.weight"}),
    ],
)
def test_muon_leaves_every_layer_of_the_classifier_to_adamw(backbone, head, expected):
    with torch.device("meta"):
        model = create_model(backbone, num_classes=7, in_chans=1, image_size=48, head=head)
    optimizer = build_optimizer(model, config(backbone=backbone, head=head, optimizer="muon", freeze_depth=1))
    left = {id(p) for group in optimizer.param_groups if group["use_fallback"] for p in group["params"]}
    assert {name for name, p in model.named_parameters() if id(p) in left and p.ndim > 1} == expected
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert not {name for name, p in model.named_parameters() if id(p) in held} & set(stages(model)[0].parameters)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize(
    ("backbone", "named"),
    [
        ("vit_tiny_patch16_224", {"cls_token", "pos_embed"}),
        ("levit_128s", {"stages.0.blocks.0.attn.attention_biases"}),
        ("xcit_nano_12_p16_224", {"cls_token", "pos_embed.token_projection.weight"}),  # named by `pos_embed.*`
    ],
)
def test_what_a_network_names_is_not_decayed_nor_given_to_muon(backbone, named, optimizer):
    with torch.device("meta"):
        model = create_model(backbone, num_classes=7, in_chans=1, image_size=64)
    settings = config(backbone=backbone, optimizer=optimizer, weight_decay=0.1, freeze_depth=0)
    groups = build_optimizer(model, settings).param_groups
    of = {id(parameter): group for group in groups for parameter in group["params"]}
    assert len(of) == len(list(model.parameters()))
    for name in named:
        group = of[id(model.get_parameter(name))]
        assert group["weight_decay"] == 0
        assert group.get("use_fallback", True)
    assert {group["weight_decay"] for group in groups} == {0, 0.1}
