"""When a step is captured, when again, and what is left where that fails; a recorder of the tests stands for a GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import tiny_dataset
from safetensors.torch import load_file
from torch import Tensor, nn

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.training.learning.optimisers import build_optimizer
from fer_tune.training.learning.schedules import LearningRate
from fer_tune.training.loop import train
from fer_tune.training.steps import captured, whole_step
from fer_tune.training.steps.captured import WARM_UP, Captured, reason_against
from fer_tune.training.steps.snapshot import Snapshot
from fer_tune.training.steps.stopwatch import Stopwatch

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class Fake:
    """Warms up by running, records without running, and replays by running the call that was recorded."""

    made: list[Fake]

    def __init__(
        self, device: torch.device = CPU, fails: Exception | None = None, waits: tuple[bool, ...] = ()
    ) -> None:
        self.fails, self.waits = fails, list(waits)
        self.warmed = self.recorded = self.replayed = 0

    def warm_up(self, call: Callable[[], None]) -> bool:
        self.warmed += 1
        call()
        return bool(self.waits) and self.waits.pop(0)

    def record(self, call: Callable[[], None]) -> Callable[[], None]:
        if self.fails is not None:
            call()  # a failed attempt may have left any trace
            raise self.fails
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            call()

        return replay

    def held(self) -> float:
        return 5.0 * self.recorded


class Little:
    """A small training step with dropout, over buffers."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 0.1)

    def __call__(self, x: Tensor, more: Tensor | None) -> None:
        assert more is None
        self.optimizer.zero_grad()
        self.model(x).square().mean().backward()
        self.optimizer.step()

    def snapshot(self) -> Snapshot:
        return Snapshot([*self.model.parameters(), *self.model.buffers()], self.optimizer, CPU)

    def captured(self, recorder: Fake | None, refusal: str = "") -> Captured:
        return Captured(self, Stopwatch(CPU), self.snapshot, recorder, refusal)


def run(steps: Captured, *sizes: int) -> None:
    for number, size in enumerate(sizes):
        steps(torch.full((size, 3), number + 1.0) + torch.arange(size)[:, None], None)


def same(first: Little, second: Little) -> bool:
    states = first.model.state_dict(), second.model.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.fixture(autouse=True)
def unsaid():
    captured._say.cache_clear()


def test_a_shape_is_captured_once_after_its_first_steps():
    recorder, little = Fake(), Little()
    steps = little.captured(recorder)
    run(steps, *(8,) * 3, 4, *(8,) * 5)
    assert (recorder.warmed, recorder.recorded, recorder.replayed) == (WARM_UP + 1, 1, 5)
    assert steps.told == "steps captured"
    assert steps.held == 5
    run(steps, 4, 4, 4, 8, 4)
    assert (recorder.warmed, recorder.recorded, recorder.replayed) == (2 * WARM_UP, 2, 8)


def test_captured_and_plain_steps_do_the_same():
    """Also the inputs: they are copied into buffers, and the caller may reuse its own."""
    sizes = (*(8,) * 6, 4, *(8,) * 6)
    plain, replayed = Little(), Little()
    torch.manual_seed(1)
    run(plain.captured(None), *sizes)
    torch.manual_seed(1)
    run(replayed.captured(Fake()), *sizes)
    assert same(plain, replayed)


def test_a_released_step_runs_as_it_is():
    recorder, little = Fake(), Little()
    steps = little.captured(recorder)
    run(steps, *(8,) * 5)
    steps.release()
    run(steps, 8)
    assert recorder.replayed == 2
    assert steps.held == 0


def test_where_capturing_fails_all_is_as_before_and_it_is_said_once(caplog):
    sizes = (8,) * 7
    plain, failed = Little(), Little()
    torch.manual_seed(1)
    run(plain.captured(None), *sizes)
    torch.manual_seed(1)
    steps = failed.captured(Fake(fails=RuntimeError("operation not permitted\nwhen stream is capturing")))
    with caplog.at_level(logging.WARNING):
        run(steps, *sizes)
        run(Little().captured(Fake(fails=RuntimeError("operation not permitted\nwhen stream is capturing"))), *sizes)
    assert same(plain, failed)  # weights, statistics, optimiser and random numbers
    assert len(plain.optimizer.state) == len(failed.optimizer.state)
    assert steps.told == "steps not captured: RuntimeError: operation not permitted when stream is capturing"
    assert len([one for one in caplog.records if "not captured" in one.message]) == 1


def test_the_optimiser_forgets_what_a_failed_attempt_began():
    little = Little()
    before = little.snapshot()
    little(torch.ones(8, 3), None)
    assert little.optimizer.state
    before.restore()
    assert not little.optimizer.state
    assert all(parameter.grad is None for parameter in little.model.parameters())
    assert same(little, Little())


@pytest.mark.parametrize(("waits", "recorded"), [((True, True, False), 1), ((False, False, True), 0)])
def test_what_still_waits_for_the_device_when_warm_is_not_captured(waits, recorded):
    recorder, little = Fake(waits=waits), Little()
    steps = little.captured(recorder)
    run(steps, *(8,) * 5)
    assert recorder.recorded == recorded
    assert ("waits for the device" in steps.told) is not recorded
    assert bool(steps.told.startswith("steps captured")) is bool(recorded)


def test_an_exception_of_a_first_step_is_the_runs_own():
    little = Little()
    with pytest.raises(RuntimeError):
        little.captured(Fake())(torch.ones(8, 5), None)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "muon"])
def test_what_cannot_be_captured_is_named(optimizer):
    model = nn.Sequential(nn.Linear(3, 3))
    built = torch.optim.AdamW(model.parameters())
    if optimizer == "muon":
        from fer_tune.models import create_model

        built = build_optimizer(
            create_model("cnn_simpler", num_classes=7, in_chans=1),
            TrialConfig(backbone="cnn_simpler", epochs=1, optimizer="muon"),
        )
        assert reason_against(GPU, 1, built) == "the optimiser Muon computes on the host"
        return
    assert reason_against(GPU, 1, built) is None
    assert reason_against(CPU, 1, built) == ""
    assert reason_against(GPU, 2, built) == "2 workers share each batch"


def weights(folder: Path) -> dict[str, Tensor]:
    (file,) = folder.glob("epoch_*.safetensors")
    return load_file(file)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ema_decay": 0.9, "mixup": 0.4, "cutmix": 1.0, "batch_size": 40},
        {"freeze_depth": 3, "unfreeze_epoch": 2, "sam_rho": 0.1, "clip_grad_norm": 1.0, "optimizer": "sgd"},
    ],
    ids=str,
)
def test_a_run_over_buffers_learns_the_same_to_the_bit(tiny, tmp_path, monkeypatch, settings):
    base: dict[str, Any] = {"backbone": "cnn_simpler", "epochs": 3, "batch_size": 30, "drop_rate": 0.1, "seed": 3}
    config = TrialConfig(**{**base, **settings})
    plain = train(config, tiny, tmp_path / "plain", device="cpu").history
    made: list[Fake] = []
    monkeypatch.setattr(whole_step, "reason_against", lambda *_: None)
    monkeypatch.setattr(whole_step, "CudaGraphs", lambda device: made.append(Fake()) or made[-1])
    replayed = train(config, tiny, tmp_path / "replayed", device="cpu").history
    assert all(
        torch.equal(a, b)
        for a, b in zip(weights(tmp_path / "plain").values(), weights(tmp_path / "replayed").values(), strict=True)
    )
    assert [epoch["val_loss"] for epoch in plain] == [epoch["val_loss"] for epoch in replayed]
    assert [epoch["train_loss"] for epoch in plain] == [epoch["train_loss"] for epoch in replayed]
    assert replayed[-1]["computed_in"].endswith("; steps captured")
    assert len(made) == (3 if "freeze_depth" in settings else 1)  # anew for each freeze depth
    assert all(recorder.replayed for recorder in made)


def test_a_batch_in_parts_is_captured_as_one_step(tiny, tmp_path, monkeypatch):
    settings = {"mixup": 0.4, "class_weighting": "balanced", "drop_rate": 0.1}
    config = TrialConfig(backbone="cnn_simpler", epochs=2, batch_size=30, **settings)
    plain = train(config, tiny, tmp_path / "plain", device="cpu", parts=3).history
    made: list[Fake] = []
    monkeypatch.setattr(whole_step, "reason_against", lambda *_: None)
    monkeypatch.setattr(whole_step, "CudaGraphs", lambda device: made.append(Fake()) or made[-1])
    replayed = train(config, tiny, tmp_path / "replayed", device="cpu", parts=3).history
    (recorder,) = made
    assert recorder.replayed
    assert [epoch["train_loss"] for epoch in plain] == [epoch["train_loss"] for epoch in replayed]
    assert [epoch["val_loss"] for epoch in plain] == [epoch["val_loss"] for epoch in replayed]


@pytest.mark.parametrize("votes", ["distribution", "draw"])
def test_targets_of_votes_and_what_is_done_to_colours_go_into_the_buffers_too(tmp_path, monkeypatch, votes):
    tiny_dataset(tmp_path / "data", n_train=210, n_val=70, n_test=14, channels=3, votes=True)
    data = PreparedDataset.open(tmp_path / "data")
    base: dict[str, Any] = {"backbone": "cnn_simpler", "epochs": 2, "batch_size": 30, "votes": votes}
    config = TrialConfig(**base, mixup=0.4, label_smoothing=0.1, class_weighting="balanced")
    plain = train(config, data, tmp_path / "plain", device="cpu").history
    monkeypatch.setattr(whole_step, "reason_against", lambda *_: None)
    monkeypatch.setattr(whole_step, "CudaGraphs", Fake)
    replayed = train(config, data, tmp_path / "replayed", device="cpu").history
    assert replayed[-1]["computed_in"].endswith("; steps captured")
    assert [epoch["val_loss"] for epoch in plain] == [epoch["val_loss"] for epoch in replayed]
    assert [epoch["train_loss"] for epoch in plain] == [epoch["train_loss"] for epoch in replayed]


def test_the_rate_in_a_tensor_is_the_rate(monkeypatch):
    """As on a GPU: the optimiser reads the rates from one tensor, also after a resume."""
    config = TrialConfig(backbone="cnn_residual", epochs=2, learning_rate=0.1, schedule="one_cycle")

    def optimizer() -> torch.optim.Optimizer:
        groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": 0.1 * share} for share in (1.0, 0.5)]
        return torch.optim.SGD(groups, 0.1)

    def there(optimizer: torch.optim.Optimizer) -> Tensor:
        rates = torch.tensor([group["lr"] for group in optimizer.param_groups])
        for place, group in enumerate(optimizer.param_groups):
            group["lr"] = rates[place]
        return rates

    plain = optimizer()
    host = LearningRate(plain, config, 10)
    monkeypatch.setattr("fer_tune.training.learning.schedules._rates_on_device", there)
    moved = optimizer()
    device = LearningRate(moved, config, 10)
    addresses = [group["lr"].data_ptr() for group in moved.param_groups]
    for _ in range(13):
        host.step()
        device.step()
    again = optimizer()
    resumed = LearningRate(again, config, 10)
    again.load_state_dict(moved.state_dict())
    resumed.load_state_dict(device.state_dict())
    for groups in (moved.param_groups, again.param_groups):
        for ours, expected in zip(groups, plain.param_groups, strict=True):
            assert float(ours["lr"]) == pytest.approx(expected["lr"], rel=1e-6)
    assert addresses == [group["lr"].data_ptr() for group in moved.param_groups]
    resumed.step()
    assert float(again.param_groups[1]["lr"]) != float(moved.param_groups[1]["lr"])
    assert device.value == host.value
