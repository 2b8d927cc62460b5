"""Every experiment of the five published systems stands in a shipped space, with its own numbers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fer_tune.data.preparing.readers.published import ferg
from fer_tune.data.preparing.readers.published.fer2013 import codes as fer2013
from fer_tune.data.preparing.readers.published.raf_db import codes as raf_db
from fer_tune.errors import UserError
from fer_tune.search.spaces.published import as_published, find_published, reported_accuracy, shipped_published, system

DOCS = Path(__file__).parents[3] / "docs" / "published.md"

# Experiments per system, as counted in the papers.
EXPERIMENTS = {
    "ferg-comprehensive": 7,
    "ostim-2024": 4,
    "qutub-atay-2023": 9,  # five networks on FER2013, four of them on RAF-DB too
    "jahangir-2024": 6,  # two networks, three strategies
    "di504-metu": 11,  # nine variants of the custom CNN, two transferred networks
}

# Backbone, what is told of the settings, what is reported: a sample of each system, typed from the papers' tables.
TYPED = {
    "ferg-comprehensive/resnext50_32x4d": (
        "resnext50_32x4d",
        {"epochs": 50, "batch_size": 70, "optimizer": "adam", "learning_rate": 1e-7, "early_stopping": 5},
        {"train_accuracy": 99.71, "val_accuracy": 100, "test_accuracy": 100, "seconds": 480.91, "epochs": 31},
    ),
    "ferg-comprehensive/vit_base_patch16": (
        "vit_base_patch16_224",
        {"image_size": 48, "batch_size": 21, "learning_rate": 2e-5, "drop_rate": 0.1, "early_stopping": 10},
        {"train_accuracy": 98.75, "val_accuracy": 99.74, "test_accuracy": 99.67, "seconds": 1522.06, "epochs": 49},
    ),
    "ferg-comprehensive/efficientnet_b2": (
        "efficientnet_b2",
        {"epochs": 50, "batch_size": 32, "optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-3},
        {"train_accuracy": 99.85, "val_accuracy": 100, "test_accuracy": 100, "seconds": 360.95, "epochs": 27},
    ),
    "ostim-2024/traditional-cnn": (
        "cnn_traditional",
        {"epochs": 45, "batch_size": 64, "optimizer": "adam", "learning_rate": 1e-3, "schedule": "plateau"},
        {"val_auc_lowest": 0.83, "val_auc_highest": 0.97},
    ),
    "qutub-atay-2023/vgg19-fer2013": ("vgg19_gap", {"pretrained": True}, {"test_accuracy": 71.02}),
    "qutub-atay-2023/baseline-cnn": ("cnn_baseline", {"pretrained": False}, {"test_accuracy": 60.854}),
    "jahangir-2024/vgg16-from-scratch": (
        "cnn_small_vgg",
        {"epochs": 100, "batch_size": 32, "learning_rate": 1e-4, "target_accuracy": 0.67, "drop_rate": 0.5},
        {"train_accuracy": 72.59, "val_accuracy": 67.23, "seconds": 1218.66, "seconds_other_table": 8764.24},
    ),
    "jahangir-2024/resnet50-fine-tuning": (
        "resnet50",
        {"epochs": 30, "image_size": 224, "freeze_depth": 5, "unfreeze_epoch": 10},
        {"train_accuracy": 25.14, "val_accuracy": 24.75, "seconds": 15811.03, "seconds_other_table": 5793.0},
    ),
    "di504-metu/custom-cnn-lr-1": ("cnn_baseline", {"learning_rate": 1.0, "early_stopping": 10}, {}),
}


def test_each_experiment_has_an_entry_and_each_entry_a_name_of_its_own() -> None:
    entries = [entry for _, entry in shipped_published()]
    assert Counter(map(system, entries)) == EXPERIMENTS
    assert max(Counter(entry.name for entry in entries).values()) == 1


@pytest.mark.parametrize("name", TYPED)
def test_entries_are_as_their_papers_have_them(name: str) -> None:
    backbone, settings, reported = TYPED[name]
    space, entry = find_published(name)
    assert space.backbone == backbone
    assert entry.config.items() >= settings.items()
    assert entry.reported == reported
    config = as_published(space, entry)
    assert config.model_dump().items() >= {**settings, "backbone": backbone}.items()


def test_datasets_are_named_as_their_readers_name_them() -> None:
    assert {entry.dataset for _, entry in shipped_published()} == {fer2013.NAME, raf_db.NAME, ferg.NAME}


def test_every_entry_says_all_that_a_run_needs_and_explains_what_is_open() -> None:
    for space, entry in shipped_published():
        assert as_published(space, entry).epochs == entry.config["epochs"]
        assert {"learning_rate", "optimizer", "schedule", "batch_size", "augmentation"} <= entry.config.keys()
        assert all(why.strip() for why in entry.chosen.values())
        said = [field for field, why in entry.chosen.items() if why.startswith("none is named")]
        assert all(entry.config[field] in (0, "constant") for field in said)


def test_changes_replace_what_is_published_and_keep_its_bounds() -> None:
    space, entry = find_published("di504-metu/simpler")
    config = as_published(space, entry, epochs=2, weights=None, seed=3)
    assert (config.epochs, config.seed, config.weights) == (2, 3, None)
    with pytest.raises(UserError, match=r"di504-metu/simpler: epochs: .*but it is 0"):
        as_published(space, entry, epochs=0)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ostim-2024/resnet5", "'ostim-2024/resnet50'"), ("simpler", "'di504-metu/simpler'"), ("x", "published list")],
)
def test_an_unknown_name_gives_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=f"{name}: no such published configuration; .*{hint}"):
        find_published(name)


def test_the_accuracy_a_paper_reports_names_its_split() -> None:
    told = {entry.name: reported_accuracy(entry) for _, entry in shipped_published()}
    assert told["qutub-atay-2023/baseline-cnn"] == "60.854 % test"
    assert told["ostim-2024/resnet50"] == "67 to 68 % val"
    assert told["ostim-2024/traditional-cnn"] == ""


def test_the_documentation_lists_every_entry_with_its_command_and_its_numbers() -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    listed = {row.split("`")[1]: row for row in rows}
    entries = {entry.name: (space, entry) for space, entry in shipped_published()}
    assert listed.keys() == entries.keys()
    for name, (space, entry) in entries.items():
        assert f"`fer-tune published run {name} --data data/{entry.dataset}`" in listed[name]
        assert f"| {space.backbone} |" in listed[name]
        assert (reported_accuracy(entry) or "none") in listed[name]
