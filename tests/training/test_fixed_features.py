"""The head alone on fixed features: each is computed once, and it learns what it would learn from the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import tiny_dataset
from safetensors.torch import load_file
from torch import Tensor

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.models import create_model, freeze, head_alone, stages
from fer_tune.models.networks.cnns import CNNResidual
from fer_tune.training import fixed_features
from fer_tune.training.evaluation import load_model, predict
from fer_tune.training.fixed_features import _TRIED
from fer_tune.training.loop import train
from fer_tune.training.steps.precision import autocast

BASE: dict[str, Any] = {
    "backbone": "cnn_residual",
    "epochs": 3,
    "learning_rate": 3e-2,
    "batch_size": 30,
    "augmentation": 0.0,
    "freeze_depth": 5,  # all of its stages
    "drop_rate": 0.3,
    "seed": 3,
}
FIXED = {"augmentation": 0.4, "augmented_views": 2}


def config(**changes: Any) -> TrialConfig:
    return TrialConfig(**{**BASE, **changes})


@pytest.fixture(autouse=True)
def nothing_kept():
    fixed_features._kept.clear()
    yield
    fixed_features._kept.clear()


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass through the backbone has had."""
    counts: list[int] = []
    whole = CNNResidual.forward_features

    def counted(self: CNNResidual, given: Tensor) -> Tensor:
        counts.append(len(given))
        return whole(self, given)

    monkeypatch.setattr(CNNResidual, "forward_features", counted)
    return counts


def from_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_features, "_reason_against", lambda *_: "a test wants it")


def last_weights(folder: Path) -> dict[str, Tensor]:
    (file,) = folder.glob("epoch_*.safetensors")
    return load_file(file)


def close(first: dict[str, Tensor], second: dict[str, Tensor], tolerance: float = 1e-4) -> bool:
    assert first.keys() == second.keys()
    return all(torch.allclose(first[name].float(), second[name].float(), atol=tolerance) for name in first)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        FIXED,
        {"label_smoothing": 0.1, "ema_decay": 0.9, "class_weighting": "sampler", "schedule": "plateau"},
        {**FIXED, "optimizer": "sgd", "sam_rho": 0.05, "clip_grad_norm": 1.0, "class_weighting": "balanced"},
        {"head": "16", "image_size": 32, "optimizer": "muon"},
        {"backbone": "cnn_baseline", "freeze_depth": 6, "learning_rate": 3e-3},
        {"backbone": "mobilenetv3_small_050", "freeze_depth": 8, "ema_decay": 0.9},
    ],
    ids=str,
)
def test_it_learns_what_it_learns_from_the_images(tiny, tmp_path, monkeypatch, settings):
    quick = train(config(**settings), tiny, tmp_path / "quick").history
    assert "features computed once" in quick[-1]["computed_in"]
    from_images(monkeypatch)
    plain = train(config(**settings), tiny, tmp_path / "plain").history
    assert "a test wants it" in plain[-1]["computed_in"]
    for ours, expected in zip(quick, plain, strict=True):
        for name in ("train_loss", "val_loss", "val_macro_auc", "learning_rate"):
            assert ours[name] == pytest.approx(expected[name], abs=2e-4), name
    assert close(last_weights(tmp_path / "quick"), last_weights(tmp_path / "plain"))
    assert close(load_file(tmp_path / "quick/best.safetensors"), load_file(tmp_path / "plain/best.safetensors"))
    fresh = train(config(**{**settings, "seed": 4}), tiny, tmp_path / "other").history
    assert abs(fresh[-1]["train_loss"] - plain[-1]["train_loss"]) > 2e-4  # what is compared tells runs apart


@pytest.mark.parametrize("votes", ["distribution", "draw"])
def test_votes_are_its_targets_as_they_are_of_images(tmp_path, monkeypatch, votes):
    tiny_dataset(tmp_path / "data", n_train=70, n_val=35, n_test=7, votes=True)
    data = PreparedDataset.open(tmp_path / "data")
    quick = train(config(votes=votes, **FIXED), data, tmp_path / "quick").history
    from_images(monkeypatch)
    plain = train(config(votes=votes, **FIXED), data, tmp_path / "plain").history
    assert quick[-1]["train_loss"] == pytest.approx(plain[-1]["train_loss"], abs=2e-4)


def test_in_bf16_too_and_it_is_judged_in_float32(tiny, tmp_path, monkeypatch):
    quick = train(config(precision="bf16"), tiny, tmp_path / "quick").history
    from_images(monkeypatch)
    plain = train(config(precision="bf16"), tiny, tmp_path / "plain").history
    assert quick[-1]["train_loss"] == pytest.approx(plain[-1]["train_loss"], abs=2e-2)
    model = load_model(config(), tiny.card, tmp_path / "quick/best.safetensors", "cpu")
    right = (predict(model, tiny.val(), tiny.card, "cpu").argmax(1) == tiny.val().labels).mean()
    assert right == pytest.approx(max(metrics["val_accuracy"] for metrics in quick))


def tried(counts: list[int]) -> list[int]:
    """Leave out the few images that the cut is tried on, and the one that shows what fits into memory."""
    return [count for count in counts if count > _TRIED]


def test_each_image_goes_through_the_backbone_once(tiny, tmp_path, monkeypatch, images):
    train(config(epochs=5), tiny, tmp_path / "quick")
    assert sum(tried(images)) == 210 + 70
    images.clear()
    from_images(monkeypatch)
    train(config(epochs=5), tiny, tmp_path / "plain")
    assert sum(tried(images)) == 5 * (210 + 70)


@pytest.mark.parametrize(("epochs", "computed"), [(1, 1), (2, 2), (6, 2)])
def test_each_view_is_computed_when_an_epoch_first_takes_it(tiny, tmp_path, images, epochs, computed):
    train(config(epochs=epochs, **FIXED), tiny, tmp_path)
    assert sum(tried(images)) == computed * 210 + 70


def test_the_next_trial_of_the_process_finds_them(tiny, tmp_path, images):
    train(config(epochs=1), tiny, tmp_path / "first")
    same = {"weights": str(tmp_path / "first/best.safetensors")}
    train(config(**same), tiny, tmp_path / "second")
    images.clear()
    train(config(**same, learning_rate=1e-3, batch_size=50, seed=9, label_smoothing=0.2), tiny, tmp_path / "third")
    assert tried(images) == []
    train(config(**same, image_size=32), tiny, tmp_path / "fourth")
    assert sum(tried(images)) == 210 + 70
    images.clear()
    train(config(**same, **FIXED, epochs=2), tiny, tmp_path / "views")
    train(config(**same, **{**FIXED, "augmentation": 0.5}, epochs=2), tiny, tmp_path / "stronger")
    assert sum(tried(images)) == 2 * 2 * 210 + 70  # validation is the same in both
    assert len(fixed_features._kept) == 2  # nothing is kept of the trials before
    train(config(**same, freeze_depth=4, epochs=1), tiny, tmp_path / "deeper")
    assert not fixed_features._kept


def test_a_resumed_run_has_the_same_parameters_to_the_bit(tiny, tmp_path):
    settings = config(**{**FIXED, "augmented_views": 3}, ema_decay=0.9)
    train(settings, tiny, tmp_path / "whole")

    def die(metrics: dict[str, Any], _: Path) -> None:
        if metrics["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, tiny, tmp_path / "broken", on_epoch=die)
    fixed_features._kept.clear()  # another process goes on
    train(settings, tiny, tmp_path / "broken")
    whole, broken = last_weights(tmp_path / "whole"), last_weights(tmp_path / "broken")
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_where_they_take_too_much_memory_they_are_computed_in_each_epoch_and_it_is_said(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(fixed_features, "_most", lambda _: 2**17)
    (metrics,) = train(config(epochs=1), tiny, tmp_path).history
    assert "features computed in each epoch: they would take 0 MiB, and may take 0" in metrics["computed_in"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"augmentation": 0.3}, "augmentation without augmented_views"),
        ({"mixup": 0.2, "cutmix": 1.0}, "mixup, cutmix"),
        ({"unfreeze_epoch": 3, **FIXED}, "unfreeze_epoch"),
        ({"freeze_depth": 4}, ""),
    ],
    ids=str,
)
def test_what_makes_features_change_is_named(tiny, tmp_path, settings, told):
    (metrics,) = train(config(**{**settings, "epochs": 1}), tiny, tmp_path).history
    expected = f"features computed in each epoch: {told}" if told else "features"
    assert (expected in metrics["computed_in"]) is bool(told)


@pytest.mark.parametrize(
    ("backbone", "size", "cut"),
    [
        ("cnn_small_vgg", 48, True),
        ("efficientnet_lite0", 64, True),
        ("convnext_atto", 64, True),
        ("vit_tiny_patch16_224", 32, True),
        ("levit_128s", 224, False),  # two classifiers
        ("dpn48b", 64, False),  # a convolution, flattened after it
    ],
)
@pytest.mark.parametrize("drop_rate", [0.0, 0.4])
def test_networks_are_cut_where_both_halves_come_to_the_same(backbone, size, cut, drop_rate):
    model = create_model(backbone, 7, 1, image_size=size, drop_rate=drop_rate)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    still = freeze(model, len(stages(model)))
    images = torch.randn(4, 1, size, size)
    random = torch.get_rng_state()
    found = head_alone(model, still, images, drop_rate, lambda: autocast(None, images.device))
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert isinstance(found, str) is not cut
    if not isinstance(found, str):
        found.top.eval()
        assert torch.allclose(found.top(found.features(images)), model(images), atol=1e-5)


def test_a_network_that_does_more_above_its_classifier_is_not_cut():
    class Scaled(CNNResidual):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * 3

    model = Scaled(num_classes=7, in_chans=1)
    still = freeze(model, len(stages(model)))
    found = head_alone(model, still, torch.randn(4, 1, 32, 32), 0.0, lambda: autocast(None, torch.device("cpu")))
    assert found == "its classifier does not stand alone at the end"
