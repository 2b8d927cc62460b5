"""The training loop: it learns, stops when told, resumes to the bit, and obeys every setting."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import tiny_dataset
from safetensors.torch import load_file, save_file

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.run_folder import METRICS
from fer_tune.training import loop
from fer_tune.training.evaluation import build_model, load_model, predict
from fer_tune.training.loop import train

BASE: dict[str, Any] = {
    "backbone": "cnn_residual",
    "epochs": 2,
    "learning_rate": 3e-3,
    "batch_size": 30,
    "augmentation": 0.2,
    "drop_rate": 0.1,
    "seed": 3,
}


def config(**changes: Any) -> TrialConfig:
    return TrialConfig(**{**BASE, **changes})


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("epoch_*.safetensors")
    return load_file(file)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def plain(tiny, tmp_path_factory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("plain")
    train(config(), tiny, folder)
    return last_weights(folder)


@pytest.mark.parametrize("votes", ["distribution", "draw"])
def test_votes_are_trained_on_and_it_is_judged_by_the_majority(tmp_path, votes):
    tiny_dataset(tmp_path / "data", n_train=210, n_val=70, n_test=14, votes=True)
    data = PreparedDataset.open(tmp_path / "data")
    settings = {"backbone": "cnn_simpler", "epochs": 3, "augmentation": 0.0}
    plain = train(config(**settings), data, tmp_path / "plain").history
    voted = train(config(**settings, votes=votes), data, tmp_path / "voted").history
    assert voted[-1]["val_accuracy"] > 0.4  # chance is 0.14; seven of ten votes are the label's
    assert voted[-1]["train_accuracy"] > 0.4
    assert plain[-1]["train_loss"] + 0.1 < voted[-1]["train_loss"]  # the votes themselves are 0.80 nats apart
    if votes == "distribution":
        assert voted[-1]["train_loss"] > 0.8


def test_votes_of_a_dataset_without_any_are_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="votes: draw: tiny has one label per image and no votes"):
        train(config(votes="draw"), tiny, tmp_path)
    assert not list(tmp_path.iterdir())


def test_learns_and_reports_every_metric(tiny, tmp_path):
    seen: list[dict[str, Any]] = []
    outcome = train(
        config(epochs=6, augmentation=0.0), tiny, tmp_path, on_epoch=lambda metrics, _: seen.append(metrics)
    )
    assert [metrics["epoch"] for metrics in seen] == [1, 2, 3, 4, 5, 6]
    for metrics in seen:
        assert set(METRICS) <= metrics.keys()
        assert all(math.isfinite(metrics[name]) for name in METRICS)
    assert outcome.val_accuracy > 0.5  # chance is 0.14
    assert seen[-1]["train_loss"] < seen[0]["train_loss"]
    assert outcome.val_accuracy == max(metrics["val_accuracy"] for metrics in seen)
    assert [metrics["finished"] for metrics in seen] == [False] * 5 + [True]


def test_the_best_checkpoint_gives_the_accuracy_on_record(tiny, tmp_path):
    outcome = train(config(epochs=4, augmentation=0.0, learning_rate=2e-2), tiny, tmp_path)
    model = load_model(config(), tiny.card, tmp_path / "best.safetensors", "cpu")
    probabilities = predict(model, tiny.val(), tiny.card, "cpu")
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    accuracy = (probabilities.argmax(1) == tiny.val().labels).mean()
    assert accuracy == pytest.approx(outcome.val_accuracy)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw", "schedule": "one_cycle"},
        {"optimizer": "sgd", "schedule": "plateau", "learning_rate": 0.05},
        {"optimizer": "adam", "schedule": "cosine", "early_stopping": 3},
        {"optimizer": "sgd", "freeze_depth": 3, "unfreeze_epoch": 2, "mixup": 0.2},
        {"optimizer": "muon", "layer_decay": 0.7},
        {"schedule": "step", "ema_decay": 0.9, "mixup": 0.4, "cutmix": 1.0, "class_weighting": "sampler"},
        {"freeze_depth": 4, "unfreeze_epoch": 2, "layer_decay": 0.7, "sam_rho": 0.1, "clip_grad_norm": 1.0},
    ],
)
def test_a_resumed_run_has_the_same_parameters_to_the_bit(tiny, tmp_path, settings):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(config(epochs=3, **settings), tiny, whole)

    def die(metrics: dict[str, Any], _: Path) -> None:
        if metrics["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config(epochs=3, **settings), tiny, broken, on_epoch=die)
    torch.manual_seed(99)  # whatever the process did in between must not matter
    seen: list[int] = []
    outcome = train(
        config(epochs=3, **settings), tiny, broken, on_epoch=lambda metrics, _: seen.append(metrics["epoch"])
    )
    assert seen == [3]
    assert outcome.epochs == 3
    assert same(last_weights(whole), last_weights(broken))
    assert same(load_file(whole / "best.safetensors"), load_file(broken / "best.safetensors"))


def test_a_finished_run_is_not_trained_again(tiny, tmp_path):
    first = train(config(), tiny, tmp_path)
    seen: list[int] = []
    again = train(config(), tiny, tmp_path, on_epoch=lambda metrics, _: seen.append(1))
    assert seen == []
    assert again == first


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-3},
        {"batch_size": 35},
        {"augmentation": 0.6},
        {"transforms": "flip+shear"},
        {"augmented_views": 1},
        {"weight_decay": 0.3},
        {"optimizer": "adam"},
        {"optimizer": "sgd"},
        {"optimizer": "muon"},
        {"schedule": "cosine"},
        {"schedule": "constant"},
        {"label_smoothing": 0.2},
        {"head": "32-16"},
        {"drop_rate": 0.5},
        {"freeze_depth": 2},
        {"freeze_depth": 2, "unfreeze_epoch": 2},
        {"layer_decay": 0.5},
        {"mixup": 0.4},
        {"cutmix": 1.0},
        {"image_size": 32},
        {"class_weighting": "sampler"},
        {"warmup_epochs": 1.5},
        {"clip_grad_norm": 0.01},
        {"sam_rho": 0.1},
        {"seed": 4},
        {"epochs": 3},
    ],
    ids=str,
)
def test_every_setting_changes_what_is_learnt(tiny, plain, tmp_path, change):
    train(config(**change), tiny, tmp_path)
    assert not same(plain, last_weights(tmp_path))


def test_precision_changes_what_is_learnt(tiny, tmp_path):
    for precision in ("fp32", "bf16"):  # auto is one of them, by the processor
        train(config(precision=precision), tiny, tmp_path / precision)
    assert not same(last_weights(tmp_path / "fp32"), last_weights(tmp_path / "bf16"))


def test_momentum_matters_to_sgd_alone(tiny, tmp_path):
    for optimizer, equal in (("sgd", False), ("adamw", True), ("muon", True)):
        for momentum in (0.5, 0.9):
            train(config(optimizer=optimizer, momentum=momentum, epochs=1), tiny, tmp_path / f"{optimizer}{momentum}")
        weights = [last_weights(tmp_path / f"{optimizer}{momentum}") for momentum in (0.5, 0.9)]
        assert same(*weights) is equal


def test_frozen_stages_do_not_move(tiny, tmp_path):
    settings = config(freeze_depth=2, weight_decay=0.5)
    torch.manual_seed(settings.seed)
    before = build_model(settings, tiny.card).state_dict()
    train(settings, tiny, tmp_path)
    after = last_weights(tmp_path)
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert not {name for name in moved if name.startswith(("stem", "blocks.0"))}  # batch-norm statistics neither
    assert {"blocks.1.first.0.weight", "head.weight"} <= moved


def test_unfreezing_trains_one_more_stage_each_epoch(tiny, tmp_path):
    settings = config(freeze_depth=3, unfreeze_epoch=2, epochs=3, schedule="constant")
    torch.manual_seed(settings.seed)
    weights = [build_model(settings, tiny.card).state_dict()]
    train(settings, tiny, tmp_path, on_epoch=lambda _, folder: weights.append(last_weights(folder)))

    def moved(epoch: int) -> set[str]:
        before, after = weights[epoch - 1], weights[epoch]
        names = ("stem.0", "blocks.0.first.0", "blocks.1.first.0", "blocks.2.first.0")
        return {name for name in names if not torch.equal(before[f"{name}.weight"], after[f"{name}.weight"])}

    assert moved(1) == {"blocks.2.first.0"}
    assert moved(2) == {"blocks.1.first.0", "blocks.2.first.0"}
    assert moved(3) == {"blocks.0.first.0", "blocks.1.first.0", "blocks.2.first.0"}


def test_the_moving_average_is_what_is_judged_and_kept(tiny, tmp_path):
    settings = config(ema_decay=0.9, epochs=3, augmentation=0.0)
    outcome = train(settings, tiny, tmp_path)
    best = load_file(tmp_path / "best.safetensors")
    assert not same(best, last_weights(tmp_path))  # training goes on from the weights themselves
    probabilities = predict(
        load_model(settings, tiny.card, tmp_path / "best.safetensors", "cpu"), tiny.val(), tiny.card, "cpu"
    )
    assert (probabilities.argmax(1) == tiny.val().labels).mean() == pytest.approx(outcome.val_accuracy)


def test_stops_at_the_target_accuracy(tiny, tmp_path):
    outcome = train(config(epochs=50, augmentation=0.0, target_accuracy=0.4), tiny, tmp_path)
    assert outcome.epochs < 50
    assert outcome.best_epoch == outcome.epochs
    assert outcome.val_accuracy >= 0.4
    assert "target accuracy" in outcome.reason


def test_an_epoch_says_where_its_time_and_memory_went(tiny, tmp_path):
    (metrics,) = train(config(epochs=1), tiny, tmp_path).history
    parts = [metrics[f"{name}_seconds"] for name in ("data", "steps", "evaluation")]
    assert all(part > 0 for part in parts)
    assert sum(parts) <= metrics["seconds"]
    assert metrics["peak_memory_mib"] > 10
    assert len(metrics["val_recalls"]) == len(tiny.card.classes)


def test_a_freeze_depth_beyond_the_backbone_is_refused(tiny, tmp_path):
    with pytest.raises(UserError, match="freeze_depth: 9 is beyond this backbone's 5 stages"):
        train(config(freeze_depth=9), tiny, tmp_path)


def test_stops_early_without_a_better_epoch(tiny, tmp_path):
    outcome = train(config(epochs=50, learning_rate=1e-9, early_stopping=2), tiny, tmp_path)
    assert outcome.epochs < 50
    assert outcome.epochs == outcome.best_epoch + 2
    assert "early stopping" in outcome.reason


def judged(monkeypatch, tiny, folder, objective, **changes):
    """Train with made-up validation metrics: accuracy is best in epoch 1, macro F1 in 2, the loss in 3."""
    told = iter([(0.6, 0.2, 1.3), (0.4, 0.5, 1.2), (0.3, 0.3, 1.0), (0.3, 0.3, 1.4), (0.3, 0.3, 1.5)])

    def made_up(*given):
        made = zip(("val_accuracy", "val_macro_f1", "val_loss"), next(told), strict=True)
        return {name: 0.1 for name in METRICS if name.startswith("val_")} | {"val_recalls": []} | dict(made)

    monkeypatch.setattr(loop.Evaluation, "__call__", made_up)
    return train(config(epochs=5, **changes), tiny, folder, objective=objective)


@pytest.mark.parametrize(
    ("objective", "best_epoch", "best"), [("val_accuracy", 1, 0.6), ("val_macro_f1", 2, 0.5), ("val_loss", 3, 1.0)]
)
def test_the_best_epoch_and_early_stopping_are_by_the_objective(
    objective, best_epoch, best, tiny, tmp_path, monkeypatch
):
    outcome = judged(monkeypatch, tiny, tmp_path, objective, early_stopping=2)
    assert (outcome.best_epoch, outcome.history[-1][f"best_{objective}"]) == (best_epoch, best)
    assert outcome.best is outcome.history[best_epoch - 1]
    assert outcome.epochs == best_epoch + 2
    words = {"val_accuracy": "accuracy", "val_macro_f1": "macro F1", "val_loss": "loss"}[objective]
    assert outcome.reason == f"early stopping: no better validation {words} for 2 epochs"


def test_the_weights_kept_are_those_of_the_best_epoch_by_the_objective(tiny, tmp_path, monkeypatch):
    for objective, epochs in (("val_macro_f1", 2), ("val_accuracy", 1)):
        with monkeypatch.context() as patched:
            judged(patched, tiny, tmp_path / objective, objective, schedule="constant")
        train(config(epochs=epochs, schedule="constant"), tiny, tmp_path / f"{objective} alone")
        alone = last_weights(tmp_path / f"{objective} alone")
        assert same(load_file(tmp_path / objective / "best.safetensors"), alone)


def test_divergence_ends_the_run_with_a_reason(tiny, tmp_path):
    weights = {name: tensor.contiguous() for name, tensor in build_model(config(), tiny.card).state_dict().items()}
    weights["head.bias"][:2] = torch.tensor([3e38, -3e38])  # numbers, but their difference is none
    save_file(weights, tmp_path / "huge.safetensors", {"classes": json.dumps(tiny.card.classes)})
    outcome = train(config(epochs=9, weights=str(tmp_path / "huge.safetensors")), tiny, tmp_path / "run")
    assert outcome.epochs == 1
    assert outcome.reason == "diverged: the loss was not finite in epoch 1"
    assert 0 <= outcome.val_accuracy < 0.5


def test_starts_from_given_weights(tiny, tmp_path):
    train(config(epochs=4, augmentation=0.0), tiny, tmp_path / "first")
    settings = {"epochs": 1, "learning_rate": 1e-6, "schedule": "constant", "augmentation": 0.0}
    fresh = train(config(**settings), tiny, tmp_path / "fresh")
    warm = train(config(**settings, weights=str(tmp_path / "first/best.safetensors")), tiny, tmp_path / "warm")
    assert warm.val_accuracy > fresh.val_accuracy + 0.2


def test_pretrained_without_a_network_names_the_alternatives(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no retries
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"weights: FILE.*pretrained: false"):
        train(config(backbone="resnet18", pretrained=True), tiny, tmp_path)


def test_a_timm_backbone_trains(tiny, tmp_path):
    outcome = train(config(backbone="mobilenetv3_small_050", epochs=1), tiny, tmp_path)
    assert outcome.epochs == 1
