"""The head: what stands between a backbone's features and its classes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fer_tune.config import trial_config
from fer_tune.errors import UserError
from fer_tune.models import create_model, freeze, head_parameters, load_weights, stage_count, stages
from fer_tune.search.spaces.parameter import check_value


def build(name: str, head: str, **changes: Any) -> nn.Module:
    return create_model(name, **{"num_classes": 7, "in_chans": 3, "head": head, **changes})


def layers(model: nn.Module) -> list[nn.Module]:
    """The layers of its classifier."""
    return [module for module in model.get_classifier().modules() if not list(module.children())]


def numbers(parts: Any) -> int:
    return sum(parameter.numel() for parameter in parts)


@pytest.mark.parametrize(
    ("name", "head", "found"),
    [
        ("vgg16_gap", "64-32", [(512, 64), (64, 32), (32, 7)]),  # jahangir-2024, transfer learning
        ("resnet50", "128-64", [(2048, 128), (128, 64), (64, 7)]),  # and from scratch
        ("vgg19_gap", "linear", [(2048, 7)]),
        ("cnn_traditional", "100", [(9 * 256, 100), (100, 7)]),
        ("cnn_small_vgg", "linear", [(256, 7)]),
        ("cnn_residual", "64", [(256, 64), (64, 7)]),
        ("mobilenetv3_small_100", "64", [(1024, 64), (64, 7)]),
        ("convnext_atto", "64", [(320, 64), (64, 7)]),
        ("vit_tiny_patch16_224", "64", [(192, 64), (64, 7)]),
        ("tiny_vit_5m_224", "64", [(320, 64), (64, 7)]),
    ],
)
def test_a_new_head_stands_in_the_place_of_the_old_one(name, head, found):
    with torch.device("meta"):
        model, own = build(name, head).eval(), build(name, "own")
        assert model(torch.empty(2, 3, 224, 224)).shape == (2, 7)
    linear = [layer for layer in layers(model) if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == found
    replaced = numbers(own.get_classifier().parameters())
    if hasattr(own, "hidden"):  # of the networks of this project
        replaced += numbers(own.hidden.parameters())
    kept = numbers(model.parameters()) - sum(inputs * outputs + outputs for inputs, outputs in found)
    assert kept == numbers(own.parameters()) - replaced


@pytest.mark.parametrize("name", ["vgg16_gap", "resnet18", "cnn_deeper"])
def test_stages_stay_and_the_deepest_freeze_trains_the_new_head_alone(name):
    with torch.device("meta"):
        model, own = build(name, "64-32"), build(name, "own")
    assert stages(model) == stages(own)
    freeze(model, stage_count(name))
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert trained == {id(parameter) for parameter in model.get_classifier().parameters()}


def test_dropout_comes_after_the_first_hidden_layer_and_nowhere_else():
    for name in ("resnet18", "cnn_residual", "cnn_small_vgg"):
        with torch.device("meta"):
            model = build(name, "64-32", drop_rate=0.5)
        assert [type(layer).__name__ for layer in layers(model)] == [
            *("Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear")
        ]
        rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
        assert sorted(rate for rate in rates if rate) == [0.5]
        assert getattr(model, "drop_rate", 0.0) == 0


def test_a_linear_head_keeps_the_dropout_before_it():
    model = build("cnn_small_vgg", "linear", drop_rate=0.9).train()
    images = torch.rand(4, 3, 48, 48)
    features = model.forward_features(images).mean((2, 3))
    torch.manual_seed(0)
    first = model.head(model.hidden(features))
    assert not torch.equal(first, model.head(model.hidden(features)))
    model.eval()
    assert torch.equal(model.head(features), model.head(model.hidden(features)))


def test_weights_of_a_run_with_the_same_head_fit_and_of_another_do_for_the_backbone(tmp_path):
    donor = build("cnn_simpler", "64-32")
    classes = list("abcdefg")
    weights = {name: value.contiguous() for name, value in donor.state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors", {"classes": json.dumps(classes)})
    again = build("cnn_simpler", "64-32", weights=tmp_path / "w.safetensors", classes=classes)
    assert torch.equal(again.head[0].weight, donor.head[0].weight)
    report = load_weights(build("cnn_simpler", "own"), tmp_path / "w.safetensors")
    assert set(report.missing) == {"head.weight", "head.bias"}
    assert len(report.unused) == 6


def test_a_network_without_a_single_classifier_is_refused():
    with torch.device("meta"), pytest.raises(UserError, match=r"head: deit_tiny_distilled.* leave it at own"):
        build("deit_tiny_distilled_patch16_224", "64")


@pytest.mark.parametrize("head", ["mlp", "0", "64-", "64-32-16", "-64", "99999", True, 1.5, ""])
def test_heads_that_are_none(head):
    with pytest.raises(UserError, match=r"here: head: .*but it is"):
        trial_config({"backbone": "resnet18", "epochs": 1, "head": head}, "here")


def test_a_single_number_in_a_file_is_one_hidden_layer():
    assert trial_config({"backbone": "resnet18", "epochs": 1, "head": 64}).head == "64"


def test_spaces_take_heads_and_transforms_as_choices():
    assert [check_value("head", value) for value in ("linear", 64)] == [("linear", None), ("64", None)]
    assert check_value("transforms", ["shear", "flip"]) == ("flip+shear", None)
    assert "units of one or two hidden layers" in str(check_value("head", "mlp")[1])


def test_a_distilled_transformer_has_two_classifiers():
    with torch.device("meta"):
        model = create_model("deit_tiny_distilled_patch16_224", num_classes=7, in_chans=3)
    assert head_parameters(model) == {f"{head}.{kind}" for head in ("head", "head_dist") for kind in ("weight", "bias")}
