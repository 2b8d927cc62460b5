"""Freeze depth: what a stage is, and that frozen means frozen."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from fer_tune.errors import UserError
from fer_tune.models import backbone_stages, create_model, freeze, stage_count, stage_of, stages


def build(name: str, **changes: object) -> nn.Module:
    return create_model(name, **{"num_classes": 7, "in_chans": 1, **changes})


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_stages_of_a_resnet():
    found = backbone_stages("resnet18")
    assert [stage.name for stage in found] == ["conv1, bn1", "layer1", "layer2", "layer3", "layer4"]
    assert sum(stage.count for stage in found) == 11_180_103 - 512 * 7 - 7


def test_stages_of_vgg_are_its_blocks_and_not_its_new_layers():
    found = backbone_stages("vgg16_gap")
    assert [stage.name for stage in found][:2] == ["features.0 to features.2", "features.5 to features.7"]
    assert len(found) == 5
    assert sum(stage.count for stage in found) == 14_714_688  # Simonyan and Zisserman's convolutions


def test_stages_by_name_and_of_a_model_are_the_same():
    model = build("cnn_deeper", in_chans=3)
    assert backbone_stages(model) == backbone_stages("cnn_deeper") == tuple(stages(model))


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


def test_a_stage_of_each_parameter_and_the_head_above_them():
    model = build("mobilenetv3_small_050")
    index = stage_of(model)
    assert index.keys() == dict(model.named_parameters()).keys()
    for number, stage in enumerate(stages(model)):
        assert {index[name] for name in stage.parameters} == {number}
    assert index["classifier.weight"] == len(stages(model)) == stage_count("mobilenetv3_small_050")


@pytest.mark.parametrize("name", ["cnn_residual", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_nothing_is_recorded_below_the_lowest_trained_stage(name):
    model = build(name, image_size=32)
    depth = stage_count(name) - 1
    norms = freeze(model, depth)
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
    for norm in norms:
        norm.eval()
    model(torch.rand(4, 1, 32, 32)).sum().backward()
    assert recorded
    assert not any(recorded.values())
    assert {path for path, parameter in model.named_parameters() if parameter.grad is not None} == trained(model)
    still = {path for path, buffer in model.named_buffers() if torch.equal(buffer, buffers[path])}
    moved = buffers.keys() - still
    assert all(path.rpartition(".")[0] in {p.rpartition(".")[0] for p in trained(model)} for path in moved)
    assert bool(moved) == bool(buffers)  # statistics of trained stages do move


def test_a_norm_without_parameters_is_fixed_with_the_stage_that_holds_it():
    model = build("cnn_residual")
    model.blocks[0].first[1] = nn.BatchNorm2d(32, affine=False)
    assert model.blocks[0].first[1] in freeze(model, 2)
    assert model.blocks[0].first[1] not in freeze(model, 1)


@pytest.mark.parametrize("depth", [-1, 6])
def test_a_depth_that_the_backbone_lacks_is_refused(depth):
    with pytest.raises(UserError, match=rf"freeze_depth: {depth} is beyond this backbone's 5 stages; 0 to 5 work"):
        freeze(build("cnn_residual"), depth)
