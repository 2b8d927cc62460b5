"""How many trials share a GPU: measured, held to memory, cores and trials, and one wherever that fails."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from drawing import tiny_dataset

import fer_tune.search.running.engine as engine
from fer_tune.config import TrialConfig
from fer_tune.search.cluster.hardware import Resources
from fer_tune.search.options import SearchOptions
from fer_tune.search.planning import plan as planning
from fer_tune.search.planning import sharing
from fer_tune.search.planning.plan import Plan, make_plan
from fer_tune.search.planning.sharing import NOT_ASKED, chosen_sharing, largest
from fer_tune.search.sizing.estimate import BackboneCost, Estimate
from fer_tune.search.sizing.report import report
from fer_tune.training.probing.packing import Asked, Taken, taken
from fer_tune.training.probing.probe import Probe

GIB = 2**30
ALONE = Taken(1000.0, 2 * GIB, GIB // 2, 80 * GIB)

SPACE = """
backbone: cnn_residual
search:
  batch_size: {choice: [16, 64, 32]}
  image_size: {choice: [24, 48]}
  freeze_depth: {integer: [1, 4]}
  ema_decay: {choice: [null, 0.99]}
  learning_rate: {log_uniform: [1e-4, 1e-2]}
fixed: {augmentation: 0.3}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=70, n_val=35, n_test=7)
    return path


@pytest.fixture
def options(data: Path, tmp_path: Path) -> SearchOptions:
    (tmp_path / "space.yaml").write_text(SPACE)
    return SearchOptions(data, ["cnn_residual"], spaces=[str(tmp_path / "space.yaml")], storage=tmp_path / "runs")


class Machine:
    """A machine with GPUs, as far as a choice asks; ``runs`` are the measurements that were made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alone, self.each, self.gpus, self.cores = ALONE, 540.0, 1, 16
        self.runs: list[tuple[TrialConfig, int]] = []
        self.fails = ""
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        monkeypatch.setattr(sharing.ray, "is_initialized", lambda: False)
        monkeypatch.setattr(sharing, "_gpus", lambda: self.gpus)
        monkeypatch.setattr(sharing.os, "sched_getaffinity", lambda _: set(range(self.cores)))
        monkeypatch.setattr(sharing, "served", lambda: True)
        monkeypatch.setattr(sharing, "_FEW", 20 * 12 * 70)  # 20 trials of 12 epochs of 70 images
        monkeypatch.setattr(sharing, "_run", self.run)

    def run(self, config: TrialConfig, plan: Plan, count: int, environment: dict[str, str]) -> list[Taken]:
        self.runs.append((config, count))
        if count > 1 and self.fails:
            raise sharing._NotShared(self.fails)
        one = self.alone if count == 1 else dataclasses.replace(self.alone, images_per_second=self.each)
        return [one] * count


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_four_share_a_gpu_where_they_train_more_together(machine: Machine, options: SearchOptions) -> None:
    found = chosen_sharing(make_plan(options))
    assert (found.gpus, found.gain) == (0.25, pytest.approx(2.16))
    assert [count for _, count in machine.runs] == [1, 4]
    assert found.told == (
        "4 trials share one: 4 of them train 2.16 times the images a second of one, measured with "
        "cnn_residual at batch 64, 48 px, takes 2.0 of 80 GiB"
    )


def test_it_is_measured_with_what_takes_the_most_memory(machine: Machine, options: SearchOptions) -> None:
    chosen_sharing(make_plan(options))
    for config, _ in machine.runs:
        assert (config.batch_size, config.image_size, config.freeze_depth, config.ema_decay) == (64, 48, 1, 0.99)
        assert config.augmentation == 0.3
    plan = make_plan(options)
    # What is tried first may be larger than the space.
    first = planning.Candidate(name="large", config={"batch_size": 128, "image_size": 96})
    assert largest(dataclasses.replace(plan, warm_start={"cnn_residual": [first]})).image_size == 96


@pytest.mark.parametrize(
    ("changed", "asked", "share", "told"),
    [
        ({"each": 260.0}, {}, 1.0, "train 1.04 times the images a second of one"),
        ({"each": 260.0}, {}, 1.0, "and 1.2 times would pay"),
        ({"alone": dataclasses.replace(ALONE, held=20 * GIB)}, {}, 1 / 3, "3 trials share one"),  # 3 times 25.5
        ({"alone": dataclasses.replace(ALONE, held=40 * GIB)}, {}, 1.0, "takes 40.0 of 80 GiB"),
        ({"cores": 2, "each": 700.0}, {}, 0.5, "2 trials share one"),
        ({"cores": 1}, {}, 1.0, "the cores suffice for no more"),
        ({}, {"concurrent": 1}, 1.0, "--concurrent"),
        ({"gpus": 20, "cores": 64}, {}, 1.0, "the trials suffice for no more on each of 20"),
        ({"gpus": 8, "cores": 64}, {}, 1 / 3, "3 trials share one"),
        ({}, {"trials": 19}, 1.0, "too short to measure"),
        ({"fails": "it failed (OutOfMemoryError)"}, {}, 1.0, "OutOfMemoryError"),
        ({}, {"time_budget_seconds": 60.0}, 1.0, "too short to measure"),
    ],
    ids=str,
)
def test_what_bounds_it_is_told(
    machine: Machine, options: SearchOptions, changed: dict[str, Any], asked: dict[str, Any], share: float, told: str
) -> None:
    vars(machine).update(changed)
    found = chosen_sharing(make_plan(dataclasses.replace(options, **asked)))
    assert found.gpus == pytest.approx(share)
    assert told in found.told
    assert found.told.startswith("one: ") is (share == 1)


@pytest.mark.parametrize(
    "asked", [{"gpus_per_trial": 0.5}, {"workers_per_trial": 2}, {"node_labels": {"kind": "fast"}}], ids=str
)
def test_nothing_is_measured_where_the_user_says_it(
    machine: Machine, options: SearchOptions, asked: dict[str, Any]
) -> None:
    assert chosen_sharing(make_plan(dataclasses.replace(options, **asked))) is NOT_ASKED
    assert not machine.runs


def test_nor_on_a_cluster_nor_without_a_gpu(
    machine: Machine, options: SearchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(options)
    machine.gpus = 0
    assert chosen_sharing(plan) is NOT_ASKED
    machine.gpus = 1
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    assert chosen_sharing(plan) is NOT_ASKED
    assert not machine.runs


def test_without_the_service_trials_take_no_turns(
    machine: Machine, options: SearchOptions, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sharing, "served", lambda: False)
    monkeypatch.setattr("fer_tune.search.cluster.gpu_sharing.shutil.which", lambda _: None)
    found = chosen_sharing(make_plan(options))
    assert found.gpus == 1.0
    assert "MPS cannot be started here" in found.told
    assert not caplog.records  # it is told once, as the reason


def test_the_share_is_that_of_the_trials_and_recorded(
    machine: Machine, options: SearchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "nodes", lambda _: [{"CPU": 16.0, "GPU": 1.0}])
    monkeypatch.setattr("fer_tune.search.cluster.hardware.nodes", lambda _: [{"CPU": 16.0, "GPU": 1.0}])
    plan = make_plan(options)
    found = chosen_sharing(plan)
    resources = plan.resources(joined=False, share=found.gpus)
    assert (resources.gpus, resources.cpus, resources.concurrent) == (0.25, 4.0, 4)
    monkeypatch.setattr(engine, "describe", dict)
    settings = engine._settings("first", plan, resources, found, "disabled")
    assert settings.gpus_per_trial == 0.25
    assert settings.gpu_sharing == found.told
    monkeypatch.setattr(planning, "nodes", lambda _: [{"CPU": 16.0}])  # a GPU that Ray does not know
    monkeypatch.setattr("fer_tune.search.cluster.hardware.nodes", lambda _: [{"CPU": 16.0}])
    assert plan.resources(joined=False, share=found.gpus).gpus == 0


def test_a_dry_run_tells_the_choice_and_counts_on_the_gain(machine: Machine, options: SearchOptions) -> None:
    found = chosen_sharing(make_plan(options))
    cost = BackboneCost("cnn_residual", 20, (Probe(64, 48, 10.0, 2**18, 2**20),))
    shared = Estimate(options, Resources(4, 0.25, 1, 4), 16, 1, "cuda", (70, 35), 12.0, (cost,), sharing=found)
    assert shared.seconds == pytest.approx(shared.trial_seconds / 2.16)
    assert shared.gpu_hours == pytest.approx(shared.trial_seconds / 3600 / 2.16)
    assert f"0.25 GPUs ({found.told})" in report(shared)


CONFIG = TrialConfig(backbone="cnn_simpler", epochs=1, batch_size=16)


def test_a_process_says_that_it_is_ready_and_trains_for_as_long_as_asked(data: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    device = torch.device("cpu")
    found = taken(Asked(CONFIG.model_dump(), str(data), 0.5, 0.2, str(gate)), device)
    assert found.images_per_second > 0
    assert found.total == 0  # of a GPU's memory
    assert [file.name for file in tmp_path.glob("gate.*")] == [f"gate.{os.getpid()}"]


@pytest.mark.slow  # it starts three processes
def test_processes_train_at_the_same_time_and_tell_what_they_took(
    options: SearchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "_MOST_SECONDS", 600.0)  # the machine of the tests may be busy
    monkeypatch.setattr(sharing, "_SECONDS", 0.2)
    plan = make_plan(options)
    found = sharing._run(CONFIG, plan, 2, {})
    assert len(found) == 2
    assert all(one.images_per_second > 0 for one in found)
    if not torch.cuda.is_available():
        assert all(one.total == 0 for one in found)
    with pytest.raises(sharing._NotShared, match=r"failed \(.*freeze_depth: 9"):
        sharing._run(CONFIG.model_copy(update={"freeze_depth": 9}), plan, 1, {})
