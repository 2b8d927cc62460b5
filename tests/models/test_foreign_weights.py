"""Weights as people have them: nests, prefixes, numbers beside tensors, other implementations, pickled objects."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from fer_tune.errors import UserError
from fer_tune.models import create_model, load_weights

State = dict[str, Tensor]


def build(name: str = "cnn_simpler", classes: int = 7, channels: int = 1, **changes: object) -> nn.Module:
    return create_model(name, num_classes=classes, in_chans=channels, **changes)


def kept(content: Any, folder: Path, **how: Any) -> Path:
    torch.save(content, folder / "w.pt", **how)
    return folder / "w.pt"


def same(model: nn.Module, donor: nn.Module) -> bool:
    own, other = model.state_dict(), donor.state_dict()
    return all(torch.equal(own[name], other[name]) for name in own if not name.startswith("head."))


@pytest.mark.parametrize("nest", ["model_state_dict", "module", "net", "params", "ema.model"])
def test_the_only_nested_set_of_tensors_is_taken_and_that_is_told(tmp_path, nest):
    donor, model = build(), build()
    content: Any = donor.state_dict()
    for key in reversed(nest.split(".")):
        content = {key: content, "epoch": 3}
    optimizer = torch.optim.Adam(donor.parameters())
    donor(torch.rand(2, 1, 48, 48)).sum().backward()
    optimizer.step()
    report = load_weights(model, kept({**content, "optimizer": optimizer.state_dict()}, tmp_path))
    assert f"  taken from {nest}, the only set of tensors in it" in str(report)
    assert same(model, donor)


def test_several_sets_of_tensors_are_refused_unless_one_has_a_usual_name(tmp_path):
    states = {"teacher": build().state_dict(), "student": build().state_dict()}
    with pytest.raises(
        UserError, match=r"several sets of tensors \(teacher, student\).*torch\.load\('w\.pt'\)\['teacher'\]"
    ):
        load_weights(build(), kept(states, tmp_path))
    donor, model = build(), build()
    report = load_weights(model, kept({**states, "state_dict": donor.state_dict()}, tmp_path))
    assert same(model, donor)
    assert "taken from state_dict; it also holds teacher, student" in str(report)


@pytest.mark.parametrize("prefix", ["backbone.", "model.", "encoder.", "module.", "module.encoder_q."])
def test_what_stands_before_all_names_is_taken_off_and_that_is_told(tmp_path, prefix):
    donor, model = build(), build()
    state = {f"{prefix}{name}": value for name, value in donor.state_dict().items()}
    extra = {"queue": torch.zeros(4, 4), "fc.weight": torch.zeros(2, 2)} if prefix != "module." else {}
    report = load_weights(model, kept(state | extra, tmp_path))
    assert same(model, donor)
    assert set(report.unused) == set(extra)
    shown = prefix.removeprefix("module.")  # which is told of nowhere: every program of several GPUs leaves it
    assert (f"names are read without their '{shown}'" in str(report)) == bool(shown)


def test_numbers_beside_the_tensors_are_ignored_and_that_is_told(tmp_path):
    donor, model = build(), build()
    beside = {"best": np.float64(0.5), "epoch": 3, "name": "net", "args": argparse.Namespace(lr=1e-3)}
    report = load_weights(model, kept({**donor.state_dict(), **beside}, tmp_path))
    assert same(model, donor)
    assert "ignored beside the tensors: best, epoch, name, args" in str(report)
    arrays = {name: value.numpy() for name, value in donor.state_dict().items()}
    assert load_weights(again := build(), kept(arrays, tmp_path)).missing == ()
    assert same(again, donor)


class Runs:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (os.environ["TOUCHED"],)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_model_is_named_as_such_with_the_line_that_converts_it(tmp_path, monkeypatch, zipped):
    with pytest.raises(UserError) as caught:
        load_weights(build(), kept(timm.create_model("resnet10t"), tmp_path, _use_new_zipfile_serialization=zipped))
    told = str(caught.value)
    assert "is a pickled object, no state dict: it needs timm.models.resnet.ResNet" in told
    assert "`torch.save(torch.load('w.pt', weights_only=False).state_dict(), 'weights.pt')`" in told
    monkeypatch.setenv("TOUCHED", str(tmp_path / "ran"))
    with pytest.raises(UserError, match=r"pickled object.*: it needs .*mkdir"):
        load_weights(build(), kept({"state_dict": Runs()}, tmp_path, _use_new_zipfile_serialization=zipped))
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_named_as_such(tmp_path):
    torch.jit.trace(nn.Linear(2, 2), torch.rand(1, 2)).save(tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"is a TorchScript program, .*torch\.jit\.load\('w\.pt'\)\.state_dict"):
        load_weights(build(), tmp_path / "w.pt")


def randomised(model: nn.Module) -> nn.Module:
    """The model with every scale, offset and statistic at random, so that no two tensors are alike."""
    torch.manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and (tensor.ndim <= 1 or name.endswith(("layer_scale", "gamma"))):
            tensor.uniform_(0.5, 1.5)
    return model.eval()


def features(model: nn.Module, images: Tensor) -> Tensor:
    """What the last linear layer of a network reads."""
    seen: list[Tensor] = []
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    hook = last.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    return seen[0].flatten(1)


def one_epsilon(*models: nn.Module) -> None:
    """No part of a state dict, and not the same in every implementation."""
    for model in models:
        for module in model.modules():
            if hasattr(module, "eps"):
                module.eps = 1e-5


@pytest.mark.parametrize(
    ("theirs", "ours", "by_order"),
    [
        ("efficientnet_b0", "efficientnet_b0", True),
        ("mobilenet_v2", "mobilenetv2_100", True),
        ("mobilenet_v3_small", "mobilenetv3_small_100", True),
        ("mobilenet_v3_large", "mobilenetv3_large_100", True),
        ("convnext_tiny", "convnext_tiny", True),
        ("mnasnet0_5", "mnasnet_050", True),
        ("resnet18", "resnet18", False),
    ],
)
def test_torchvisions_networks_compute_the_same_here(tmp_path, theirs, ours, by_order):
    donor = randomised(torchvision.models.get_model(theirs, num_classes=1000))
    model = build(ours, channels=3)
    report = load_weights(model, kept(donor.state_dict(), tmp_path))
    assert ("matched by order and shape" in str(report)) == by_order
    assert report.missing == report.unused == ()
    one_epsilon(donor, model)
    images = torch.rand(2, 3, 64, 64)
    expected = features(donor, images)
    assert expected.std() > 1e-3
    assert torch.allclose(features(model, images), expected, atol=1e-4, rtol=1e-4)


def test_torchvisions_vgg_is_known_by_its_names(tmp_path):
    with torch.device("meta"):
        shapes = torchvision.models.vgg11_bn().state_dict()
    state = {name: torch.full(value.shape, 0.5, dtype=value.dtype) for name, value in shapes.items()}
    report = load_weights(build("vgg11_bn", channels=3), kept(state, tmp_path))
    assert set(report.reshaped) | set(report.missing) <= {"head.fc.weight", "head.fc.bias"}
    assert {"pre_logits.fc1.weight", "features.0.weight"} <= set(report.copied)


def test_another_implementation_is_adapted_to_grey_images(tmp_path):
    donor, model = randomised(torchvision.models.mobilenet_v2()), build("mobilenetv2_100")
    report = load_weights(model, kept(donor.state_dict(), tmp_path))
    assert report.adapted == ("conv_stem.weight",)
    grey = torch.rand(2, 1, 64, 64)
    assert torch.allclose(features(model, grey), features(donor, grey.repeat(1, 3, 1, 1)), atol=1e-4, rtol=1e-4)


def foreign(model: nn.Module, rename: Callable[[str], str] = lambda name: f"net.{name}") -> State:
    """The state of ``model`` under names that say nothing but the kind: ``layer0.weight``, ``layer1.bias``, ..."""
    layers = {name.rpartition(".")[0]: None for name in model.state_dict()}
    number = {layer: index for index, layer in enumerate(layers)}
    split = {name: name.rpartition(".") for name in model.state_dict()}
    return {rename(f"layer{number[split[n][0]]}.{split[n][2]}"): value for n, value in model.state_dict().items()}


def swapped(state: State, first: str, second: str) -> State:
    """The state with two tensors in each other's place, each under its own name."""
    other = {first: second, second: first}
    return {other.get(name, name): state[other.get(name, name)] for name in state}


def test_what_could_be_wrong_is_refused(tmp_path):
    donor, model = build("cnn_residual"), build("cnn_residual")
    state = foreign(donor)
    report = load_weights(model, kept(state, tmp_path))
    assert same(model, donor)
    assert dict(zip(report.names, report.names.values(), strict=True))["stem.0.weight"] == "net.layer0.weight"
    names = {
        "kinds": ("net.layer1.weight", "net.layer1.bias"),
        "statistics": ("net.layer1.running_mean", "net.layer1.running_var"),
    }
    for first, second in names.values():
        assert state[first].shape == state[second].shape
        with pytest.raises(UserError, match=r"Nor by order and shape: order .* do not match: .* would be stem\.2\."):
            load_weights(build("cnn_residual"), kept(swapped(state, first, second), tmp_path))
    numbers = swapped(state, "net.layer3.weight", "net.layer5.weight")  # two norms of one width
    assert state["net.layer3.weight"].shape == state["net.layer5.weight"].shape
    with pytest.raises(UserError, match=r"would tear a layer apart"):
        load_weights(build("cnn_residual"), kept(numbers, tmp_path))
    turned = {"layer3": "layer5", "layer5": "layer3"}  # whole layers of one shape in each other's place
    order = [".".join([part[0], turned.get(part[1], part[1]), part[2]]) for part in (n.split(".") for n in state)]
    with pytest.raises(UserError, match="not in the order of a network"):
        load_weights(build("cnn_residual"), kept({name: state[name] for name in order}, tmp_path))
    roles = {name.replace("layer2.", "shortcut."): value for name, value in state.items()}
    load_weights(build("cnn_residual"), kept(roles, tmp_path))  # says nothing against, as ours have no role there
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="safetensors does not keep the order"):
        load_weights(build("cnn_residual"), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"it has \d+ tensors, and the backbone \d+ without its classifier"):
        load_weights(build("cnn_residual"), kept(dict(list(state.items())[:20]), tmp_path))
    more = {**state, **{f"net.more{n}.weight": torch.zeros(3, 3) for n in range(10)}}
    with pytest.raises(UserError, match="too many for a classifier"):
        load_weights(build("cnn_residual"), kept(more, tmp_path))


def test_names_that_say_what_a_layer_is_for_must_agree(tmp_path):
    class Attention(nn.Module):
        pretrained_cfg: ClassVar[dict[str, Any]] = {}

        def __init__(self, *names: str) -> None:
            super().__init__()
            for name in names:
                self.add_module(name, nn.Linear(4, 4))
            self.head = nn.Linear(4, 7)

        def get_classifier(self) -> nn.Module:
            return self.head

    right = {f"att.{name}": value for name, value in Attention("query", "key", "value").state_dict().items()}
    wrong = {f"att.{name}": value for name, value in Attention("key", "query", "value").state_dict().items()}
    assert len(load_weights(Attention("q_proj", "k_proj", "v_proj"), kept(right, tmp_path)).copied) == 6
    with pytest.raises(UserError, match=r"att\.key\.weight would be q_proj\.weight, and their names say"):
        load_weights(Attention("q_proj", "k_proj", "v_proj"), kept(wrong, tmp_path))
