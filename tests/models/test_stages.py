"""Stages: what a freeze depth counts."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from fer_tune.models import backbone_stages, create_model, stage_count, stage_of, stages
from fer_tune.models.heads import head_parameters


def build(name: str, **changes: object) -> nn.Module:
    return create_model(name, **{"num_classes": 7, "in_chans": 1, **changes})


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


def test_a_stage_of_each_parameter_and_the_head_above_them():
    model = build("mobilenetv3_small_050")
    index = stage_of(model)
    assert index.keys() == dict(model.named_parameters()).keys()
    for number, stage in enumerate(stages(model)):
        assert {index[name] for name in stage.parameters} == {number}
    assert index["classifier.weight"] == len(stages(model)) == stage_count("mobilenetv3_small_050")


def names(backbone: str) -> list[str]:
    return [stage.name for stage in backbone_stages(backbone)]


def test_what_timm_leaves_to_the_head_is_the_last_stage():
    assert names("mobilenetv3_small_100")[-1] == "conv_head"
    assert names("mobilenetv4_conv_small")[-1] == "conv_head, norm_head"
    assert names("hrnet_w18_small")[-1] == "incre_modules, downsamp_modules, final_layer"
    assert names("convnext_atto")[-1] == "stages.3, head"  # its norm alone is no stage


def test_a_convolution_and_its_norm_are_one_stage():
    found = names("vgg11_bn")
    assert found[:2] == ["features.0 to features.1", "features.4 to features.5"]
    assert found[-1] == "pre_logits"
    assert len(found) == 9


def test_blocks_of_class_attention_come_last():
    assert names("cait_xxs24_224")[-3:] == ["blocks.23", "blocks_token_only.0", "blocks_token_only.1, norm"]


@pytest.mark.parametrize(
    ("name", "count", "first"),
    [("poolformer_s12", 5, "stem"), ("pit_ti_224", 4, "pos_embed, cls_token, patch_embed")],
)
def test_networks_that_timm_does_not_divide_are_divided_into_their_children(name, count, first):
    assert (len(names(name)), names(name)[0]) == (count, first)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv3_small_100",
        "hrnet_w18_small",
        "cait_xxs24_224",
        "pit_ti_224",
        "swin_tiny_patch4_window7_224",
        "volo_d1_224",
        "efficientvit_b0",
        "deit_tiny_distilled_patch16_224",
        "vgg11_bn",
        "densenet121",
    ],
)
def test_every_parameter_of_a_timm_network_is_in_one_stage_or_in_the_classifier(name):
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=7)
    inside = [parameter for stage in stages(model) for parameter in stage.parameters]
    assert sorted([*inside, *head_parameters(model)]) == sorted(parameter for parameter, _ in model.named_parameters())
