from __future__ import annotations

from itertools import pairwise

import pytest
import timm
import torch
from safetensors.torch import save_file

from fer_tune.errors import UserError
from fer_tune.models import check_backbone, cnns, create_model, freeze, stage_count, stages
from fer_tune.models.factory import load_weights

PUBLISHED = {"cnn_baseline": 1_672_775, "resnet18": 11_180_103, "efficientnet_b0": 4_016_515}


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_parameter_counts_are_the_published_ones(name, count):
    model = create_model(name, num_classes=7, in_chans=3)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("name", [*cnns.NAMES, "mobilenetv3_small_050"])
@pytest.mark.parametrize(("channels", "size"), [(1, 48), (3, 40), (1, 100)])
def test_any_image_size_and_channels(name, channels, size):
    model = create_model(name, num_classes=5, in_chans=channels, image_size=size).eval()
    assert model(torch.rand(2, channels, size, size)).shape == (2, 5)


def test_a_transformer_is_built_for_the_image_size():
    model = create_model("vit_tiny_patch16_224", num_classes=7, in_chans=1, image_size=48).eval()
    assert model(torch.rand(2, 1, 48, 48)).shape == (2, 7)


def test_ours_are_found_by_timm():
    assert timm.is_model("cnn_residual")
    assert timm.create_model("cnn_baseline", num_classes=7).get_classifier().out_features == 7


def test_an_unknown_backbone_names_the_nearest():
    with pytest.raises(UserError, match=r"'resnet188'.*did you mean 'resnet18"):
        check_backbone("resnet188")


def test_drop_rate_reaches_the_network():
    model = create_model("cnn_residual", num_classes=7, in_chans=1, drop_rate=0.9).train()
    images = torch.rand(4, 1, 48, 48)
    torch.manual_seed(0)
    first = model(images)
    assert not torch.equal(first, model(images))


def test_stages_of_a_resnet():
    found = stages(create_model("resnet18", num_classes=7, in_chans=3))
    assert [stage.name for stage in found] == ["conv1", "layer1", "layer2", "layer3", "layer4"]
    assert sum(stage.count for stage in found) == 11_180_103 - 512 * 7 - 7


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "cnn_baseline"])
def test_every_freeze_depth_trains_less_and_the_last_the_head_alone(name):
    trained = []
    for depth in range(stage_count(name) + 1):
        model = create_model(name, num_classes=7, in_chans=3)
        freeze(model, depth)
        trained.append({n for n, parameter in model.named_parameters() if parameter.requires_grad})
    for wider, narrower in pairwise(trained):
        assert narrower < wider
    head = model.get_classifier()
    assert sum(parameter.numel() for parameter in head.parameters()) <= sum(
        parameter.numel() for parameter in model.parameters() if parameter.requires_grad
    )
    assert {id(p) for p in head.parameters()} <= {id(p) for p in model.parameters() if p.requires_grad}


def test_weights_that_fit_are_copied_and_the_rest_is_reported(tmp_path):
    donor, model = (create_model("cnn_residual", num_classes=n, in_chans=1) for n in (5, 7))
    save_file(donor.state_dict(), tmp_path / "donor.safetensors")
    missing = load_weights(model, tmp_path / "donor.safetensors")
    assert missing == ["head.weight", "head.bias"]
    assert torch.equal(model.state_dict()["stem.0.weight"], donor.state_dict()["stem.0.weight"])


def test_a_training_checkpoint_of_torch_is_read(tmp_path):
    donor, model = (create_model("cnn_residual", num_classes=7, in_chans=1) for _ in range(2))
    nested = {"state_dict": {f"module.{name}": tensor for name, tensor in donor.state_dict().items()}}
    torch.save(nested, tmp_path / "donor.pt")
    assert load_weights(model, tmp_path / "donor.pt") == []
    assert torch.equal(model.state_dict()["head.weight"], donor.state_dict()["head.weight"])


def test_weights_that_are_none(tmp_path):
    model = create_model("cnn_residual", num_classes=7, in_chans=1)
    (tmp_path / "broken.pt").write_bytes(b"not weights")
    with pytest.raises(UserError, match=r"broken\.pt: cannot be read as weights"):
        load_weights(model, tmp_path / "broken.pt")
    with pytest.raises(UserError, match="no such weights file"):
        load_weights(model, tmp_path / "absent.pt")
    save_file({"other": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="no tensor in it fits"):
        load_weights(model, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="has no ImageNet weights"):
        create_model("cnn_residual", num_classes=7, in_chans=1, pretrained=True)
