"""A run takes what was measured to be quicker, says so, and holds to it when it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.training.computing import kept_measurements, plan
from fer_tune.training.computing.kept_measurements import Measured
from fer_tune.training.computing.measuring import Candidate, Workload
from fer_tune.training.computing.plan import Plan, plan_for, quickest, workload
from fer_tune.training.evaluation import build_model
from fer_tune.training.loop import train

CPU = torch.device("cpu")
LAST = "blocks.3.second.0"
PLAIN, COLUMNS = Candidate("fp32", (), 1.0), Candidate("fp32", (LAST,), 0.8)
MIXED, BOTH = Candidate("bf16", (), 0.7), Candidate("bf16", (LAST, "blocks.3.shortcut.0"), 0.5)


def config(**changes: Any) -> TrialConfig:
    return TrialConfig(**{"backbone": "cnn_residual", "epochs": 2, "batch_size": 30, "seed": 3, **changes})


@pytest.fixture(autouse=True)
def flags(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Those of the processor; with instructions for bf16, whatever is at hand."""
    told = {"flags": "avx2 avx512_bf16"}
    monkeypatch.setattr(plan, "processor", lambda: told)
    return told


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """What every run finds measured; all are long enough to ask."""
    found = [PLAIN, COLUMNS, MIXED, BOTH]
    monkeypatch.setattr(kept_measurements, "measured", lambda *_: Measured(found, "a processor"))
    monkeypatch.setattr(plan, "WORTH_MEASURING", 1)
    return found


def planned(data: PreparedDataset, settings: TrialConfig, earlier: dict[str, Any] | None = None) -> Plan:
    return plan_for(settings, build_model(settings, data.card), data.card, CPU, 400, 1, earlier)


@pytest.mark.parametrize(("precision", "expected"), [("auto", BOTH), ("fp32", COLUMNS), ("bf16", BOTH)])
def test_the_quickest_of_what_is_asked_for(precision: str, expected: Candidate) -> None:
    assert quickest([PLAIN, COLUMNS, MIXED, BOTH], precision) == expected


def test_equal_ones_give_way_to_the_plainer() -> None:
    nearly = [PLAIN, Candidate("fp32", (LAST,), 0.99), Candidate("bf16", (), 0.98), Candidate("bf16", (LAST,), 0.975)]
    assert quickest(nearly, "auto") == PLAIN
    assert quickest(nearly, "bf16") == nearly[2]


def test_no_choice_loses_to_a_fixed_one_by_more_than_a_tie() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        times = (0.5 + torch.rand(4, generator=generator)).tolist()
        ways = [
            Candidate(p, n, t) for p, n, t in zip(["fp32"] * 2 + ["bf16"] * 2, [(), ("a",)] * 2, times, strict=True)
        ]
        assert quickest(ways, "auto").seconds <= 1.03 * min(times)


def test_a_plan_is_told_with_its_reason(tiny: PreparedDataset, measurements: list[Candidate]) -> None:
    assert planned(tiny, config()).told == (
        "bf16, 2 of 12 convolutions as columns; measured on a processor: 2.00 times plain float32"
    )
    assert planned(tiny, config(precision="fp32")).told == (
        "float32, 1 of 12 convolutions as columns; measured on a processor: 1.25 times plain float32"
    )
    measurements[:] = [PLAIN, Candidate("bf16", (), 2.0)]
    assert planned(tiny, config()).told == "float32; measured on a processor, where nothing is quicker"


def test_grouped_convolutions_are_told_apart(tiny: PreparedDataset, measurements: list[Candidate]) -> None:
    measurements[:] = [PLAIN, Candidate("bf16", ("blocks.0.0", "blocks.2.2"), 0.5)]
    told = planned(tiny, config(backbone="cnn_separable")).told
    assert told.startswith("bf16, 1 of 7 convolutions as columns, 1 of 7 in float32; measured")
    measurements[:] = [PLAIN, Candidate("fp32", ("blocks.0.0", "blocks.2.2"), 0.5)]
    told = planned(tiny, config(backbone="cnn_separable")).told
    assert told.startswith("float32, 1 of 7 convolutions as columns, 1 of 7 multiplied by channel; measured")


@pytest.mark.parametrize(("precision", "said"), [("auto", "float32"), ("fp32", "float32"), ("bf16", "bf16")])
def test_a_short_run_measures_nothing(
    tiny: PreparedDataset, monkeypatch: pytest.MonkeyPatch, precision: str, said: str
) -> None:
    monkeypatch.setattr(kept_measurements, "measured", None)
    settings = config(epochs=1, precision=precision)
    found = plan_for(settings, build_model(settings, tiny.card), tiny.card, CPU, 399, 1)
    assert (found.precision, found.otherwise) == ("bf16" if said == "bf16" else "fp32", ())
    assert found.told == f"{said}: 399 steps are too few to measure what is quicker"


def test_bf16_without_instructions_for_it_is_obeyed_and_told_of(
    tiny: PreparedDataset, measurements: list[Candidate], flags: dict[str, str]
) -> None:
    flags["flags"] = "avx2 avx512f"
    found = planned(tiny, config(precision="bf16"))
    assert (found.precision, found.otherwise) == ("bf16", ())
    assert found.told.startswith("bf16: as asked; this processor has no instructions for it")


def test_where_there_is_no_choice_nothing_is_measured(tiny: PreparedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_measurements, "measured", None)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 8))
    found = plan_for(config(precision="fp32"), model, tiny.card, CPU, 1000, 1)
    assert found.told == "float32: as asked"


def test_a_run_goes_on_as_it_began(tiny: PreparedDataset, measurements: list[Candidate]) -> None:
    first = planned(tiny, config())
    measurements[:] = [PLAIN]  # the cache was emptied, and the machine is busy
    assert planned(tiny, config(), first.state()) == first
    elsewhere = {**first.state(), "machine": "another"}
    assert planned(tiny, config(), elsewhere).precision == "fp32"


@pytest.mark.parametrize(
    ("settings", "world", "expected"),
    [
        ({"batch_size": 64}, 1, {"batch": 64, "freeze_depth": 0}),
        ({"batch_size": 50}, 1, {"batch": 64}),
        ({"batch_size": 50}, 2, {"batch": 32}),
        ({"batch_size": 1}, 2, {"batch": 1}),
        ({"batch_size": 1000}, 1, {"batch": 64}),
        ({"image_size": 40}, 1, {"height": 40, "width": 40}),
        ({"head": "64"}, 1, {"head": "64"}),
        ({"freeze_depth": 3, "epochs": 9, "unfreeze_epoch": 6}, 1, {"freeze_depth": 3}),
        ({"freeze_depth": 3, "epochs": 9, "unfreeze_epoch": 2}, 1, {"freeze_depth": 0}),
    ],
    ids=str,
)
def test_what_is_measured_is_what_the_run_does_mostly(
    tiny: PreparedDataset, settings: dict[str, Any], world: int, expected: dict[str, Any]
) -> None:
    found = workload(config(**settings), tiny.card, world)
    assert {name: getattr(found, name) for name in expected} == expected
    assert (found.channels, found.classes) == (1, 7)


def test_training_goes_by_the_plan(
    tiny: PreparedDataset, tmp_path: Path, measurements: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    measurements[:] = [PLAIN, COLUMNS]  # not bf16: the processor may have no instructions for it
    chosen = train(config(), tiny, tmp_path / "auto", device="cpu")
    assert {metrics["computed_in"] for metrics in chosen.history} == {planned(tiny, config()).told}
    measurements[:] = [PLAIN]
    fixed = train(config(precision="fp32"), tiny, tmp_path / "plain", device="cpu")
    assert fixed.history[0]["train_loss"] != chosen.history[0]["train_loss"]
    assert fixed.history[0]["train_loss"] == pytest.approx(chosen.history[0]["train_loss"], rel=0.05)


def test_a_run_that_measures_learns_what_one_that_finds_it_learns(
    tiny: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plan, "WORTH_MEASURING", 1)
    measured = 0

    def measure(model: nn.Module, load: Workload, steps: int) -> list[Candidate]:
        nonlocal measured
        measured += 1
        with torch.random.fork_rng(devices=[]):
            torch.randn(9)
        return [PLAIN, COLUMNS]

    real = kept_measurements.measured
    monkeypatch.setattr(kept_measurements, "measured", lambda *given: real(*given, measure))
    settings = config(epochs=1, drop_rate=0.2)
    for name in ("first", "second"):
        train(settings, tiny, tmp_path / name, device="cpu")
    first, second = (load_file(tmp_path / name / "epoch_0001.safetensors") for name in ("first", "second"))
    assert measured == 1
    assert all(torch.equal(first[name], second[name]) for name in first)
