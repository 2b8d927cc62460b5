"""What only a GPU shows: that steps are captured there, do what plain ones do, and leave nothing behind."""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import tiny_dataset
from safetensors.torch import load_file
from torch import Tensor, nn

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.training.evaluation import load_model, predict
from fer_tune.training.loop import train
from fer_tune.training.memory.leftover import clean_up
from fer_tune.training.steps import captured, whole_step
from fer_tune.training.steps.captured import WARM_UP, Captured
from fer_tune.training.steps.cuda_graphs import CudaGraphs
from fer_tune.training.steps.snapshot import Snapshot
from fer_tune.training.steps.stopwatch import Stopwatch

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda")


def config(**changes: Any) -> TrialConfig:
    base: dict[str, Any] = {"backbone": "cnn_residual", "epochs": 3, "batch_size": 30, "augmentation": 0.2, "seed": 3}
    return TrialConfig(**{**base, "precision": "fp32", **changes})


@pytest.fixture(autouse=True)
def unsaid():
    captured._say.cache_clear()


@pytest.fixture
def exact():
    """Without TF32 once it is over."""
    yield
    torch.set_float32_matmul_precision("highest")


class Little:
    """A step that writes what its dropout leaves of ones, and its model's update."""

    def __init__(self, more: Callable[[], object] = lambda: None) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(4, 4).to(GPU)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 0.1, fused=True, capturable=True)
        self.dropped = torch.zeros(1000, device=GPU)
        self.more = more

    def __call__(self, x: Tensor) -> None:
        self.dropped.copy_(nn.functional.dropout(torch.ones_like(self.dropped)))
        self.model(x).square().mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.more()

    def captured(self) -> Captured:
        def snapshot() -> Snapshot:
            return Snapshot([*self.model.parameters(), self.dropped], self.optimizer, GPU)

        return Captured(self, Stopwatch(GPU), snapshot, CudaGraphs(GPU))


def run(steps: Callable[[Tensor], None], count: int) -> None:
    for number in range(count):
        steps(torch.full((8, 4), number + 1.0, device=GPU))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "clip_grad_norm": 1.0, "schedule": "plateau"},
        {"optimizer": "adam", "ema_decay": 0.9, "mixup": 0.4, "cutmix": 1.0, "class_weighting": "balanced"},
        {"sam_rho": 0.1, "freeze_depth": 2, "layer_decay": 0.7, "image_size": 32},
        {"precision": "bf16", "backbone": "mobilenetv3_small_050"},
        {"precision": "fp16", "clip_grad_norm": 1.0, "optimizer": "sgd"},
    ],
    ids=str,
)
def test_captured_steps_learn_what_plain_ones_do(tiny, tmp_path, monkeypatch, exact, settings):
    replayed = train(config(**settings), tiny, tmp_path / "replayed", device=GPU).history
    assert replayed[-1]["computed_in"].endswith("; steps captured")
    monkeypatch.setattr(whole_step, "reason_against", lambda *_: "a test wants it")
    plain = train(config(**settings), tiny, tmp_path / "plain", device=GPU).history
    assert plain[-1]["computed_in"].endswith("; steps not captured: a test wants it")
    for ours, expected in zip(replayed, plain, strict=True):
        # Both order their sums as the GPU likes; what is wrong in a captured step is wrong by far more.
        assert ours["train_loss"] == pytest.approx(expected["train_loss"], rel=0.05)
        assert ours["val_loss"] == pytest.approx(expected["val_loss"], rel=0.1)
        assert ours["learning_rate"] == pytest.approx(expected["learning_rate"])


@pytest.mark.parametrize("settings", [{"augmentation": 0.0}, {"augmentation": 0.4, "augmented_views": 2}], ids=str)
def test_the_head_alone_learns_from_features_what_it_learns_from_images(tiny, tmp_path, monkeypatch, exact, settings):
    settings = config(**settings, freeze_depth=5, drop_rate=0.3, ema_decay=0.9, learning_rate=3e-2)
    quick = train(settings, tiny, tmp_path / "quick", device=GPU).history
    assert "features computed once" in quick[-1]["computed_in"]
    assert quick[-1]["computed_in"].endswith("; steps captured")
    monkeypatch.setattr("fer_tune.training.fixed_features._reason_against", lambda *_: "a test wants it")
    plain = train(settings, tiny, tmp_path / "plain", device=GPU).history
    for ours, expected in zip(quick, plain, strict=True):
        assert ours["train_loss"] == pytest.approx(expected["train_loss"], rel=0.01)
        assert ours["val_loss"] == pytest.approx(expected["val_loss"], rel=0.01)


@pytest.mark.parametrize("votes", ["distribution", "draw"])
def test_colours_blur_compression_and_votes_are_captured_too(tmp_path, monkeypatch, exact, votes):
    tiny_dataset(tmp_path / "data", n_train=210, n_val=70, n_test=14, channels=3, votes=True)
    data = PreparedDataset.open(tmp_path / "data")
    settings = {"augmentation": 0.8, "votes": votes, "mixup": 0.4}
    replayed = train(config(**settings), data, tmp_path / "replayed", device=GPU).history
    assert replayed[-1]["computed_in"].endswith("; steps captured")
    monkeypatch.setattr(whole_step, "reason_against", lambda *_: "a test wants it")
    plain = train(config(**settings), data, tmp_path / "plain", device=GPU).history
    for ours, expected in zip(replayed, plain, strict=True):
        assert ours["train_loss"] == pytest.approx(expected["train_loss"], rel=0.05)


def test_a_few_steps_are_the_same_but_for_rounding():
    plain, replayed = Little(), Little()
    torch.manual_seed(1)
    run(plain, WARM_UP + 6)
    torch.manual_seed(1)
    steps = replayed.captured()
    run(steps, WARM_UP + 6)
    assert steps.told == "steps captured"
    assert torch.allclose(plain.model.weight, replayed.model.weight, atol=1e-5)
    assert torch.equal(plain.dropped, replayed.dropped)  # the same random numbers too


def test_dropout_draws_anew_at_each_replay_and_follows_the_seed():
    little = Little()
    steps = little.captured()
    run(steps, WARM_UP + 1)
    seen = []
    for seed in (5, None, 5):
        if seed is not None:
            torch.manual_seed(seed)
        run(steps, 1)
        seen.append(little.dropped.clone())
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("more", ["item", "synchronize"])
def test_a_step_that_waits_for_the_device_runs_as_it_is(more):
    expected = Little()
    torch.manual_seed(1)
    run(expected, WARM_UP + 4)
    there = torch.ones((), device=GPU)
    little = Little(there.item if more == "item" else torch.cuda.synchronize)
    torch.manual_seed(1)
    steps = little.captured()
    run(steps, WARM_UP + 4)
    assert steps.told.startswith("steps not captured: ")
    assert torch.allclose(expected.model.weight, little.model.weight, atol=1e-5)
    assert torch.equal(expected.dropped, little.dropped)
    after = Little().captured()  # and the next can be captured
    run(after, WARM_UP + 2)
    assert after.told == "steps captured"


def test_muon_runs_as_it_is_and_is_named(tiny, tmp_path):
    (told, *_) = train(config(optimizer="muon", epochs=1), tiny, tmp_path, device=GPU).history
    assert told["computed_in"].endswith("; steps not captured: the optimiser Muon computes on the host")


def test_unfreezing_captures_again(tiny, tmp_path, monkeypatch):
    made: list[CudaGraphs] = []

    class Counted(CudaGraphs):
        def __init__(self, device: torch.device) -> None:
            super().__init__(device)
            made.append(self)

    monkeypatch.setattr(whole_step, "CudaGraphs", Counted)
    weights: list[dict[str, Tensor]] = []

    def keep(metrics: dict[str, Any], folder: Path) -> None:
        assert metrics["computed_in"].endswith("; steps captured")
        (file,) = folder.glob("epoch_*.safetensors")
        weights.append(load_file(file))

    train(config(freeze_depth=2, unfreeze_epoch=2, schedule="constant"), tiny, tmp_path, device=GPU, on_epoch=keep)
    assert len(made) == 3
    assert all(graphs.held() > 0 for graphs in made)
    moved = [
        {name for name in ("stem.0.weight", "blocks.0.first.0.weight") if not torch.equal(a[name], b[name])}
        for a, b in pairwise(weights)
    ]
    assert moved == [{"blocks.0.first.0.weight"}, {"stem.0.weight", "blocks.0.first.0.weight"}]


def test_a_run_goes_on_from_its_checkpoint(tiny, tmp_path):
    whole = train(config(ema_decay=0.9), tiny, tmp_path / "whole", device=GPU).history

    def die(metrics: dict[str, Any], _: Path) -> None:
        if metrics["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config(ema_decay=0.9), tiny, tmp_path / "broken", device=GPU, on_epoch=die)
    resumed = train(config(ema_decay=0.9), tiny, tmp_path / "broken", device=GPU).history
    assert resumed[-1]["learning_rate"] == whole[-1]["learning_rate"]
    assert resumed[-1]["train_loss"] == pytest.approx(whole[-1]["train_loss"], rel=0.05)


def test_the_memory_is_back_after_a_run_also_where_it_is_stopped(tiny, tmp_path):
    def stop(metrics: dict[str, Any], _: Path) -> None:
        raise SystemExit

    def trial(name: str) -> None:
        try:
            train(config(), tiny, tmp_path / name, device=GPU, on_epoch=stop)
        finally:
            clean_up()
            left.append(torch.cuda.memory_reserved())

    left: list[int] = []
    for number in range(4):
        with pytest.raises(SystemExit):
            trial(str(number))
    train(config(epochs=2), tiny, tmp_path / "whole", device=GPU)
    gc.collect()
    torch.cuda.empty_cache()
    left.append(torch.cuda.memory_reserved())
    assert max(left[1:]) <= left[0]  # what the first leaves are the workspaces of cuBLAS


def test_the_peak_counts_the_memory_of_the_graphs(tiny, tmp_path, monkeypatch):
    captured_peak = train(config(batch_size=100), tiny, tmp_path / "captured", device=GPU).history[-1]
    monkeypatch.setattr(whole_step, "reason_against", lambda *_: "a test wants it")
    plain = train(config(batch_size=100), tiny, tmp_path / "plain", device=GPU).history[-1]
    assert captured_peak["peak_memory_mib"] > 0.5 * plain["peak_memory_mib"]


@pytest.mark.parametrize("precision", ["auto", "fp16", "fp32"])
def test_what_is_recorded_is_what_the_saved_weights_reach(tiny, tmp_path, precision):
    settings = config(precision=precision, epochs=4, ema_decay=0.9)
    last = train(settings, tiny, tmp_path, device=GPU).history[-1]
    model = load_model(settings, tiny.card, tmp_path / "best.safetensors", GPU)
    found = predict(model, tiny.val(), tiny.card, GPU, precision=precision).argmax(1)
    assert (found == tiny.val().labels).mean() == pytest.approx(last["best_val_accuracy"], abs=1.5 / len(found))


@pytest.mark.parametrize("settings", [{}, {"mixup": 0.4, "cutmix": 1.0}], ids=str)
def test_images_that_do_not_fit_on_the_gpu_are_sent_and_steps_captured(tiny, tmp_path, monkeypatch, settings):
    here = train(config(**settings), tiny, tmp_path / "here", device=GPU).history
    monkeypatch.setattr("fer_tune.data.batching.batches._has_room", lambda device, size: False)
    sent = train(config(**settings), tiny, tmp_path / "sent", device=GPU).history
    assert sent[-1]["computed_in"].endswith("; steps captured")
    for ours, expected in zip(sent, here, strict=True):
        assert ours["train_loss"] == pytest.approx(expected["train_loss"], rel=0.05)
        assert ours["val_loss"] == pytest.approx(expected["val_loss"], rel=0.1)


def test_a_batch_in_parts_is_captured_and_comes_to_the_same_step(tiny, tmp_path, exact):
    found = []
    for parts in (1, 3):
        settings = config(backbone="vit_tiny_patch16_224", image_size=48, augmentation=0.0)  # no batch norm
        history = train(settings, tiny, tmp_path / str(parts), device=GPU, parts=parts).history
        assert history[-1]["parts"] == parts
        assert "steps captured" in history[-1]["computed_in"]
        found.append([metrics["train_loss"] for metrics in history])
    assert found[1] == pytest.approx(found[0], abs=2e-2)
