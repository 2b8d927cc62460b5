"""The shipped spaces: each is valid, builds its model, and trains at its smallest and its largest settings."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from drawing import tiny_dataset

from fer_tune.config import trial_config
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.models import create_model, stage_count
from fer_tune.run_folder import Published
from fer_tune.search.spaces.loading import load_space, shipped_spaces, shipped_text
from fer_tune.search.spaces.published import as_published, shipped_published
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.training.loop import train

QUICK = ("cnn_separable", "cnn_small_vgg", "mobilenetv3_small_100")
PUBLISHED_SYSTEMS = {
    *("cnn_baseline", "cnn_traditional", "cnn_simpler", "cnn_deeper", "cnn_residual", "cnn_separable"),
    *("cnn_global_pooling", "cnn_small_vgg", "vgg16_gap", "vgg19_gap", "resnet18", "resnet50", "resnext50_32x4d"),
    *("efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "vit_base_patch16_224", "vit_base_patch32_224"),
    "mobilenetv3_small_100",
}


def quick_first(names: list[str]) -> list[Any]:
    return [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in names]


@pytest.fixture(scope="session")
def handful(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Fourteen faces to train on, in grey: one batch of any size."""
    path: Path = tmp_path_factory.mktemp("data") / "handful"
    tiny_dataset(path, n_train=14, n_val=7, n_test=7, size=48)
    return PreparedDataset.open(path)


def extreme(space: SearchSpace, end: int) -> dict[str, Any]:
    """Return the settings at one end of the space: 0 the smallest of each, -1 the largest."""
    settings = dict(space.fixed)
    for name in space.order:
        if space.parameters[name].applies(settings):
            settings[name] = space.parameters[name].values[end]
    return settings


def runs(settings: dict[str, Any], data: PreparedDataset) -> None:
    """Train one epoch of one batch; without ImageNet weights, which need a network."""
    config = trial_config({**settings, "epochs": 1, "pretrained": False, "unfreeze_epoch": None})
    with tempfile.TemporaryDirectory() as folder:  # a large network's checkpoint is a gigabyte
        outcome = train(config, data, Path(folder), device="cpu")
    assert outcome.epochs == 1
    assert 0 <= outcome.val_accuracy <= 1


def test_every_backbone_of_the_published_systems_has_a_space() -> None:
    assert set(shipped_spaces()) >= PUBLISHED_SYSTEMS
    assert len(set(shipped_spaces()) - PUBLISHED_SYSTEMS) >= 2  # and some modern ones


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_shipped_file_is_valid_and_opens_with_the_command_that_runs_it(name: str) -> None:
    assert shipped_text(name).startswith(f"# fer-tune search --data data/fer2013 --backbone {name} ")
    space = load_space(name, against_model=False)
    assert space.backbone == name
    assert space.about
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for settings in (space.suggest(study.ask()) for _ in range(10)):
        trial_config({**settings, "backbone": name, "epochs": 1})
        assert space.holds(settings)


@pytest.mark.parametrize("name", quick_first(shipped_spaces()))
def test_a_space_suits_its_backbone(name: str) -> None:
    space = load_space(name)  # also holds freeze depths, image sizes and drop path against the network
    if "freeze_depth" in space.parameters:
        assert space.parameters["freeze_depth"].values == (0, stage_count(name))
    with torch.device("meta"):
        assert create_model(name, num_classes=7, in_chans=1).num_classes == 7


@pytest.mark.parametrize("end", [0, -1], ids=["smallest", "largest"])
@pytest.mark.parametrize("name", quick_first(shipped_spaces()))
def test_a_space_trains_at_both_ends(name: str, end: int, handful: PreparedDataset) -> None:
    settings = extreme(load_space(name, against_model=False), end)
    if name in QUICK and "image_size" in settings:
        settings["image_size"] = min(settings["image_size"], 64)  # the large ones in the slow tests
    runs({**settings, "backbone": name}, handful)


@pytest.mark.slow
@pytest.mark.parametrize(("space", "entry"), shipped_published(), ids=lambda each: getattr(each, "name", ""))
def test_a_published_configuration_runs(space: SearchSpace, entry: Published, handful: PreparedDataset) -> None:
    runs(as_published(space, entry).model_dump(), handful)
