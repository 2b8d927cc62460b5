"""Freezing: frozen means frozen."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from fer_tune.errors import UserError
from fer_tune.models import create_model, freeze, head_parameters, stage_count, stages
from fer_tune.training.assembly import freeze_to


def build(name: str, **changes: object) -> nn.Module:
    return create_model(name, **{"num_classes": 7, "in_chans": 1, **changes})


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def training_at(model: nn.Module, depth: int) -> nn.Module:
    """The model in training mode with so many stages frozen, as the training loop has it."""
    still = freeze(model, depth)
    model.train()
    for module in still:
        module.eval()
    return model


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "cnn_small_vgg"])
def test_every_freeze_depth_trains_less_and_the_last_the_head_alone(name):
    with torch.device("meta"):
        model = build(name)
    by_depth = []
    for depth in range(stage_count(name) + 1):
        freeze(model, depth)
        by_depth.append(trained(model))
    for wider, narrower in pairwise(by_depth):
        assert narrower < wider
    assert by_depth[0] == {parameter for parameter, _ in model.named_parameters()}
    head = {id(parameter) for parameter in model.get_classifier().parameters()}
    assert head <= {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def test_a_lower_depth_later_trains_stages_again_but_not_what_the_network_keeps_fixed():
    model = build("cnn_residual")
    fixed = model.get_parameter("blocks.0.first.0.weight")
    fixed.requires_grad_(False)
    freeze(model, 4)
    freeze(model, 1)
    assert trained(model) == {n for n, _ in model.named_parameters() if not n.startswith("stem")} - {
        "blocks.0.first.0.weight"
    }


@pytest.mark.parametrize("name", ["cnn_residual", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_nothing_is_recorded_below_the_lowest_trained_stage(name):
    model = build(name, image_size=32)
    depth = stage_count(name) - 2  # the last stage of a MobileNetV3 has no norm
    still = freeze(model, depth)
    frozen = {parameter for stage in stages(model)[:depth] for parameter in stage.parameters}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    recorded: dict[str, bool] = {}

    def watch(path: str, module: nn.Module) -> None:
        own = {parameter for parameter, _ in module.named_parameters(path)}
        if own and own <= frozen:
            module.register_forward_hook(lambda *call: recorded.update({path: call[-1].requires_grad}))

    for path, module in model.named_modules():
        watch(path, module)
    model.train()
    for module in still:
        module.eval()
    model(torch.rand(4, 1, 32, 32)).sum().backward()
    assert recorded
    assert not any(recorded.values())
    assert {path for path, parameter in model.named_parameters() if parameter.grad is not None} == trained(model)
    moved = {path for path, buffer in model.named_buffers() if not torch.equal(buffer, buffers[path])}
    assert all(path.rpartition(".")[0] in {p.rpartition(".")[0] for p in trained(model)} for path in moved)
    assert bool(moved) == bool(buffers)  # statistics of trained stages do move


def test_a_norm_without_parameters_is_fixed_with_the_stage_that_holds_it():
    model = build("cnn_residual")
    model.blocks[0].first[1] = nn.BatchNorm2d(32, affine=False)
    assert not training_at(model, 2).blocks[0].first[1].training
    assert training_at(model, 1).blocks[0].first[1].training


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "tf_efficientnet_lite0", "convnext_atto"])
def test_the_features_of_a_frozen_network_are_the_same_in_every_pass(name):
    model = build(name, image_size=48, drop_path_rate=0.5)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    images = torch.rand(4, 1, 48, 48)
    top = stage_count(name)
    with torch.no_grad():
        first, second = (training_at(model, 0).forward_features(images) for _ in range(2))
        assert not torch.equal(first, second)
        first, second = (training_at(model, top).forward_features(images) for _ in range(2))
        assert torch.equal(first, second)


def test_the_dropout_right_below_the_classifier_is_the_classifiers():
    model = build("vit_tiny_patch16_224", image_size=48, drop_rate=0.5)
    training_at(model, stage_count("vit_tiny_patch16_224"))
    assert model.head_drop.training
    assert not model.pos_drop.training
    assert not any(module.training for module in model.blocks.modules() if module is not model.blocks)
    assert training_at(model, 0).pos_drop.training


def test_what_the_training_loop_freezes_leaves_a_networks_own_fixed_parameters_alone():
    model = build("cnn_residual")
    model.get_parameter("blocks.3.first.0.weight").requires_grad_(False)
    for depth in (5, 2, 0):
        freeze_to(model, depth)
    assert trained(model) == {name for name, _ in model.named_parameters()} - {"blocks.3.first.0.weight"}


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_050", "mobilenetv4_conv_small", "hrnet_w18_small", "vit_tiny_patch16_224"]
)
def test_the_largest_depth_trains_the_classifier_and_nothing_else(name):
    with torch.device("meta"):
        model = build(name)
    freeze(model, stage_count(name))
    assert trained(model) == head_parameters(model)


@pytest.mark.parametrize("depth", [-1, 6])
def test_a_depth_that_the_backbone_lacks_is_refused(depth):
    with pytest.raises(UserError, match=rf"freeze_depth: {depth} is beyond this backbone's 5 stages; 0 to 5 work"):
        freeze(build("cnn_residual"), depth)
