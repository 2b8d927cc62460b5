"""The factory: every backbone by name, with the published numbers of parameters, for any image that suits it."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from fer_tune.errors import UserError
from fer_tune.models import OURS, check_backbone, check_image_size, check_square, create_model
from fer_tune.models.image_sizes import sight, smallest_useful_size

PUBLISHED = {
    "cnn_baseline": 1_672_775,
    "resnet18": 11_180_103,
    "efficientnet_b0": 4_016_515,
    "vgg16_gap": 33_625_927,
    "vgg19_gap": 45_227_079,
}
SMALL = tuple(name for name in OURS if not name.endswith("_gap"))  # the two VGGs hold 150 and 180 MB


@pytest.mark.parametrize(("name", "count"), PUBLISHED.items())
def test_parameter_counts_are_the_published_ones(name, count):
    with torch.device("meta"):
        model = create_model(name, num_classes=7, in_chans=3)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("name", [*SMALL, "mobilenetv3_small_050"])
@pytest.mark.parametrize(("channels", "size"), [(1, 48), (3, 40), (1, 100)])
def test_any_image_size_and_channels(name, channels, size):
    model = create_model(name, num_classes=5, in_chans=channels, image_size=size).eval()
    assert model(torch.rand(2, channels, size, size)).shape == (2, 5)


@pytest.mark.parametrize(("name", "inputs"), [("vgg16_gap", 512), ("vgg19_gap", 2048)])
def test_vgg_pools_as_published_and_takes_small_faces(name, inputs):
    with torch.device("meta"):
        model = create_model(name, num_classes=7, in_chans=1, image_size=48).eval()
        assert model(torch.empty(2, 1, 48, 48)).shape == (2, 7)
    assert model.hidden[0].in_features == inputs


def test_the_wide_residual_cnn_sees_finer_maps_with_as_many_parameters():
    features, parameters = {}, {}
    for name in ("cnn_residual", "cnn_residual_wide"):
        with torch.device("meta"):
            model = create_model(name, num_classes=7, in_chans=3)
            features[name] = model.forward_features(torch.empty(1, 3, 48, 48)).shape
        parameters[name] = sum(parameter.numel() for parameter in model.parameters())
    assert features == {"cnn_residual": (1, 256, 3, 3), "cnn_residual_wide": (1, 256, 6, 6)}
    assert parameters["cnn_residual_wide"] == pytest.approx(parameters["cnn_residual"], rel=0.02)


def test_a_transformer_is_built_for_the_image_size():
    model = create_model("vit_tiny_patch16_224", num_classes=7, in_chans=1, image_size=48).eval()
    assert model(torch.rand(2, 1, 48, 48)).shape == (2, 7)


def test_ours_are_found_by_timm():
    assert timm.is_model("cnn_residual")
    assert set(OURS) <= set(timm.list_models())
    assert timm.create_model("cnn_baseline", num_classes=7).get_classifier().out_features == 7


def test_an_unknown_backbone_names_the_nearest():
    with pytest.raises(UserError, match=r"'resnet188'.*did you mean 'resnet18"):
        check_backbone("resnet188")


@pytest.mark.parametrize("name", ["cnn_residual", "cnn_small_vgg"])
def test_drop_rate_reaches_the_network(name):
    model = create_model(name, num_classes=7, in_chans=1, drop_rate=0.9).train()
    images = torch.rand(4, 1, 48, 48)
    torch.manual_seed(0)
    first = model(images)
    assert not torch.equal(first, model(images))


def test_drop_path_reaches_the_blocks_and_is_refused_where_there_are_none():
    model = create_model("mobilenetv3_small_050", num_classes=7, in_chans=1, drop_path_rate=0.4)
    rates = [module.drop_prob for module in model.modules() if type(module).__name__ == "DropPath"]
    assert rates
    assert 0 < max(rates) <= 0.4
    with pytest.raises(UserError, match="drop_path_rate: cnn_baseline has no residual blocks"):
        create_model("cnn_baseline", num_classes=7, in_chans=1, drop_path_rate=0.1)


@pytest.mark.parametrize(
    ("name", "size", "why", "work"),
    [
        ("vit_tiny_patch16_224", 40, "patches of 16x16", "32, 48, 64"),
        ("vit_tiny_patch16_224", 16, "a single patch", "32, 48, 64"),
        ("cnn_small_vgg", 24, "leave nothing", "32, 40, 48"),
        ("levit_128s", 100, "do not fit such an image", "64, 96, 128"),
        ("maxvit_rmlp_pico_rw_256", 100, "do not fit such an image", "64, 96, 128"),
        ("hiera_tiny_224", 100, "do not fit such an image", "64, 96, 128"),
    ],
)
def test_an_image_size_that_does_not_suit_names_those_that_do(name, size, why, work):
    with pytest.raises(UserError) as caught:
        create_model(name, num_classes=7, in_chans=1, image_size=size)
    assert str(caught.value).startswith(f"image_size: {size} pixels do not work with {name}: ")
    assert why in str(caught.value)
    smallest = smallest_useful_size(name)
    assert f"sizes that do: {work}" + (f". The smallest useful one is {smallest}" if smallest else "") in str(
        caught.value
    )


def test_a_transformer_built_for_square_images_refuses_others():
    check_square("resnet18", 40, 60)
    check_square("vit_tiny_patch16_224", 48, 48)
    told = r"vit_tiny_patch16_224 is built for square images, .* 40x60 pixels; `image_size: 64` resizes them"
    with pytest.raises(UserError, match=told):
        check_square("vit_tiny_patch16_224", 40, 60)


def test_what_is_left_of_an_image():
    assert [sight("resnet18", size).cells for size in (32, 48, 224)] == [1, 2, 7]
    assert [sight("cnn_small_vgg", size).cells for size in (48, 64)] == [1, 2]
    assert sight("vit_tiny_patch16_224", 48).cells == 3
    assert smallest_useful_size("cnn_small_vgg") == 64
    check_image_size("resnet18", 32)  # a single cell is little, but it is what pooling leaves anyway


def test_the_convolutions_of_vgg_take_timms_weights(tmp_path: Path):
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in timm.create_model("vgg16").features.state_dict().items()}
    donor = {f"features.{name}": torch.full(shape, 0.25) for name, shape in shapes.items()}
    save_file({**donor, "head.fc.bias": torch.zeros(1000)}, tmp_path / "vgg16.safetensors")
    overlay = {"file": str(tmp_path / "vgg16.safetensors"), "hf_hub_id": None, "url": ""}
    model = timm.create_model("vgg16_gap", pretrained=True, pretrained_cfg_overlay=overlay, num_classes=7, in_chans=1)
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in donor.items() if name != "features.0.weight")
    assert torch.equal(state["features.0.weight"], torch.full((64, 1, 3, 3), 0.75))  # grey: the sum of the three
    assert state["head.weight"].std() > 0  # new
    assert timm.get_pretrained_cfg("vgg16_gap").hf_hub_id == timm.get_pretrained_cfg("vgg16").hf_hub_id
    assert timm.get_pretrained_cfg("vgg19_gap").hf_hub_id == timm.get_pretrained_cfg("vgg19").hf_hub_id


def test_weights_that_cannot_be_had_name_the_alternatives(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no retries
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"backbone mobilenetv3_small_050: .*weights: FILE.*pretrained: false"):
        create_model("mobilenetv3_small_050", num_classes=7, in_chans=1, pretrained=True)
    with pytest.raises(UserError, match="cnn_residual: has no ImageNet weights"):
        create_model("cnn_residual", num_classes=7, in_chans=1, pretrained=True)
