"""The quickest way to train a network is found, by an invented clock, and nothing of the trial is touched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fer_tune.models import create_model
from fer_tune.training.computing.convolutions import is_grouped
from fer_tune.training.computing.measuring import Candidate, Workload, measure

BF16 = torch.bfloat16


@pytest.fixture(autouse=True)
def flags(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Those of the processor; with instructions for bf16, whatever is at hand."""
    told = {"flags": "avx2 avx512_bf16"}
    monkeypatch.setattr("fer_tune.training.computing.measuring.processor", lambda: told)
    return told


@pytest.fixture(autouse=True)
def eight_laps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_tune.training.computing.measuring._LONG_ENOUGH", 0.0)
    monkeypatch.setattr("fer_tune.training.computing.measuring._SECONDS", 600.0)  # a busy machine must not matter


def network(backbone: str = "cnn_residual") -> nn.Module:
    return create_model(backbone, num_classes=7, in_chans=1, image_size=24).to(memory_format=torch.channels_last)


def load(backbone: str = "cnn_residual", depth: int = 0) -> Workload:
    return Workload(backbone, "own", depth, batch=2, channels=1, height=24, width=24, classes=7)


class Clock:
    """Runs what it times, and says what it was told that this takes."""

    def __init__(self, conv: Callable[[nn.Conv2d, bool, torch.dtype | None], float], step: Any = None) -> None:
        self._conv, self._step = conv, step
        self.timed: list[tuple[nn.Conv2d, bool]] = []

    def __call__(self, module: nn.Module, dtype: torch.dtype | None, call: Callable[[], object]) -> float:
        call()
        other = [type(conv) is not nn.Conv2d for conv in module.modules() if isinstance(conv, nn.Conv2d)]
        if isinstance(module, nn.Sequential) and len(module) == 1:
            (conv,) = module
            assert isinstance(conv, nn.Conv2d)
            self.timed.append((conv, other[0]))
            return self._conv(conv, other[0], dtype)
        return self._step(dtype, sum(other)) if self._step else 1.0


def quicker_with_many_weights(conv: nn.Conv2d, other: bool, dtype: torch.dtype | None) -> float:
    many = conv.weight.numel() > (10_000 if dtype is None else 1_000)
    return 1.0 if other is many else 2.0


def test_each_convolution_goes_the_way_that_is_quicker_in_its_type() -> None:
    model = network()
    sizes = {name: module.weight.numel() for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    found = measure(model, load(), 1000, Clock(quicker_with_many_weights))
    assert [(one.precision, bool(one.otherwise)) for one in found] == [
        ("fp32", False),
        ("fp32", True),
        ("bf16", False),
        ("bf16", True),
    ]
    assert set(found[1].otherwise) == {name for name, size in sizes.items() if size > 10_000}
    assert set(found[3].otherwise) == {name for name, size in sizes.items() if size > 1_000}


def test_a_gain_within_the_noise_is_none() -> None:
    found = measure(network(), load(), 1000, Clock(lambda conv, other, dtype: 0.98 if other else 1.0))
    assert [one.otherwise for one in found] == [(), ()]


def test_grouped_convolutions_of_large_maps_have_two_ways_in_bf16_alone() -> None:
    clock = Clock(lambda conv, other, dtype: 1.0 if other else 2.0)
    model = network("cnn_separable")  # depthwise ones of 12x12, 6x6 and 3x3 maps
    found = measure(model, load("cnn_separable"), 1000, clock)
    grouped = [name for name, conv in model.named_modules() if isinstance(conv, nn.Conv2d) and is_grouped(conv)]
    assert len(grouped) == 3
    assert set(grouped) & set(found[1].otherwise) == set(grouped[1:])
    assert set(grouped) <= set(found[-1].otherwise)


def test_whole_steps_decide_and_the_least_of_their_laps_counts() -> None:
    laps: dict[Any, int] = {}

    def step(dtype: torch.dtype | None, others: int) -> float:
        laps[dtype, others > 0] = number = laps.get((dtype, others > 0), 0) + 1
        return {(None, False): 5.0, (None, True): 4.0, (BF16, False): 2.0, (BF16, True): 9.0}[
            dtype, others > 0
        ] + 1 / number

    found = measure(network(), load(), 1000, Clock(quicker_with_many_weights, step))
    assert [round(one.seconds) for one in found] == [5, 4, 2, 9]
    assert laps[BF16, False] > laps[None, False] == 3  # the slow ones twice after the warm-up


def test_convolutions_alike_are_timed_once(flags: dict[str, str]) -> None:
    flags["flags"] = "avx2"  # in bf16 a step of this network takes many seconds on such a one
    clock = Clock(quicker_with_many_weights)
    measure(network("resnet18"), load("resnet18"), 1000, clock)
    shapes = [(tuple(conv.weight.shape), conv.stride) for conv, _ in clock.timed]
    assert len(set(shapes)) == 11  # of resnet18's twenty
    assert all(shapes.count(shape) <= 2 * 8 for shape in set(shapes))  # ways, laps


def test_what_is_frozen_has_no_backward_pass(flags: dict[str, str]) -> None:
    flags["flags"] = "avx2"
    clock = Clock(quicker_with_many_weights)
    measure(network("resnet18"), load("resnet18", depth=4), 1000, clock)
    trained = {tuple(conv.weight.shape) for conv, _ in clock.timed if conv.weight.requires_grad}
    assert trained == {(512, 512, 3, 3), (512, 256, 3, 3), (512, 256, 1, 1)}  # those of the last stage
    assert all((conv.weight.grad is None) is not conv.weight.requires_grad for conv, _ in clock.timed)


def test_neither_the_model_nor_the_random_numbers_are_touched() -> None:
    model = network().eval()
    before = copy.deepcopy(model)
    random = torch.get_rng_state()
    measure(model, load(), 1000, Clock(quicker_with_many_weights))
    assert torch.equal(torch.get_rng_state(), random)
    assert not model.training
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert [type(module) for module in model.modules()] == [type(module) for module in before.modules()]


def test_a_type_that_is_not_there_is_left_out() -> None:
    def no_bf16(conv: nn.Conv2d, other: bool, dtype: torch.dtype | None) -> float:
        if dtype is BF16:
            raise RuntimeError("no such instruction")
        return 1.0

    found = measure(network(), load(), 1000, Clock(no_bf16))
    assert [one.precision for one in found] == ["fp32"]


def test_bf16_is_not_tried_where_the_processor_would_compute_it_number_by_number(flags: dict[str, str]) -> None:
    flags["flags"] = "avx2 avx512f"
    clock = Clock(quicker_with_many_weights, lambda dtype, others: 1.0 if dtype is BF16 else 2.0)
    assert {one.precision for one in measure(network(), load(), 1000, clock)} == {"fp32"}


def test_when_the_time_is_over_the_ways_are_compared_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fer_tune.training.computing.measuring._SECONDS", 0.0)
    clock = Clock(quicker_with_many_weights)
    assert measure(network(), load(), 0, clock) == [Candidate("fp32", (), 1.0), Candidate("bf16", (), 1.0)]
    assert clock.timed == []
