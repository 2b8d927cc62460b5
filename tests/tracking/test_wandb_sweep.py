"""A search is a sweep on W&B: made online or when it is synchronised, with its trials as runs."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_run import FakeRun
from typer.testing import CliRunner
from wandb_reader import read_runs
from wandb_server import Server, serving

from fer_tune.cli.main import app
from fer_tune.run_folder import RunFolder, SearchSettings
from fer_tune.tracking import record_file
from fer_tune.tracking.sweep import config, known, state_of
from fer_tune.tracking.sync import upload
from fer_tune.tracking.wandb_callback import WandbCallback

KEY = "0123456701234567" * 3
SPACES = {
    "cnn_residual": {
        "search": {
            "learning_rate": {"log_uniform": [1e-4, 1e-2]},
            "augmentation": {"uniform": [0.0, 0.5]},
            "batch_size": {"choice": [32, 64]},
            "freeze_depth": {"integer": [0, 3]},
            "momentum": {"choice": [0.9, 0.95], "when": {"optimizer": "sgd"}},
        },
        "fixed": {"optimizer": "sgd"},
    },
    "cnn_baseline": {
        "search": {"learning_rate": {"log_uniform": [1e-5, 1e-3]}, "augmentation": {"choice": [0.0, 0.75]}},
        "fixed": {"batch_size": 64, "optimizer": "sgd"},
    },
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as one:
        monkeypatch.setenv("WANDB_BASE_URL", one.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield one


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = FakeRun(tmp_path / "whole").write()
    made.write_settings(changed(made.settings(), spaces=SPACES))
    return made


def changed(settings: SearchSettings, **values: Any) -> SearchSettings:
    return settings.model_copy(update=values)


def record(run: RunFolder, mode: Any, *trials: str, finish_timeout: float = 60, **words: Any) -> WandbCallback:
    """Record one epoch of each trial, and the search."""
    tracker = WandbCallback(run.path, "whole", "tiny", mode, finish_timeout=finish_timeout, **words)
    for name in trials:
        one = SimpleNamespace(trial_id=name, config={"backbone": "cnn_residual", "learning_rate": 0.01})
        tracker.on_trial_start(0, [], one)
        tracker.on_trial_result(0, [], one, {"epoch": 1, "val_accuracy": 0.5, "finished": True})
        tracker.on_trial_complete(0, [], one)
    tracker.on_experiment_end([])
    return tracker


def test_every_setting_is_a_parameter_as_wandb_writes_it(run: RunFolder) -> None:
    told = config(run.settings())
    assert told["parameters"] == {
        "backbone": {"values": ["cnn_residual", "cnn_baseline"]},
        "learning_rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-2},  # of both backbones
        "augmentation": {"distribution": "uniform", "min": 0.0, "max": 0.75},
        "batch_size": {"values": [32, 64]},
        "freeze_depth": {"distribution": "int_uniform", "min": 0, "max": 3},
        "momentum": {"values": [0.9, 0.95]},
        "optimizer": {"value": "sgd"},
    }
    assert told["metric"] == {"name": "best_val_accuracy", "goal": "maximize"}
    by_loss = config(changed(run.settings(), objectives=["val_loss"]))
    assert by_loss["metric"] == {"name": "best_val_loss", "goal": "minimize"}
    assert told["controller"] == {"type": "local"}  # W&B's own draws nothing
    assert told["name"] == "whole"
    assert "sampler tpe" in told["description"]


@pytest.mark.parametrize(
    ("sampler", "only", "method"),
    [("tpe", None, "bayes"), ("random", None, "random"), ("grid", "batch_size", "grid"), ("grid", None, "random")],
)
def test_the_method_is_the_nearest_that_wandb_knows(
    run: RunFolder, sampler: str, only: str | None, method: str
) -> None:
    search = SPACES["cnn_residual"]["search"]
    spaces = {"cnn_residual": {"search": {only: search[only]} if only else search}}
    assert config(changed(run.settings(), sampler=sampler, spaces=spaces))["method"] == method


def test_online_the_sweep_is_made_first_and_the_trials_are_its_runs(server: Server, run: RunFolder) -> None:
    before = dict(os.environ)
    tracker = record(run, "online", "a", "b")
    assert tracker.warning is None
    assert dict(os.environ) == before  # W&B's own way leaves its place in there
    ((name, made),) = server.sweeps.items()
    assert made["config"] == config(run.settings())
    assert made["place"] == ("nobody", "fer-tune")
    assert made["state"] == "FINISHED"
    (search,) = (one for one in server.sweep_of if one.endswith("-search"))
    assert server.sweep_of == {"whole-a": name, "whole-b": name, search: None}
    found = known(run.path)
    assert found is not None
    assert found.address == f"{server.address}/nobody/fer-tune/sweeps/{name}"


def test_a_search_that_goes_on_stays_in_its_sweep_online_and_offline(server: Server, run: RunFolder) -> None:
    settings = run.settings()
    more = {name: planned + 1 for name, planned in settings.planned.items()}
    run.write_settings(changed(settings, planned=more))
    assert state_of(run) == "PAUSED"  # trials are left
    record(run, "online", "a")
    (name,) = server.sweeps
    assert server.sweeps[name]["state"] == "PAUSED"
    run.write_settings(settings)
    record(run, "online", "b")
    assert (list(server.sweeps), server.sweep_of["whole-b"]) == ([name], name)
    assert server.sweeps[name]["state"] == "FINISHED"
    record(run, "offline", "c")
    assert {one: found.run.sweep_id for one, found in read_runs(run.path).items() if one == "whole-c"} == {
        "whole-c": name
    }


def test_what_was_recorded_offline_becomes_a_sweep_when_it_is_uploaded(server: Server, run: RunFolder) -> None:
    record(run, "offline", "a", "b")
    before = read_runs(run.path)
    assert {found.run.sweep_id for found in before.values()} == {""}
    assert server.sweeps == {}
    result = CliRunner().invoke(app, ["sync", str(run.path)])
    assert result.exit_code == 0, result.output
    assert "W&B: 3 runs uploaded" in result.output
    assert f"W&B: the search is the sweep {server.address}/nobody/fer-tune/sweeps/sweep1" in result.output
    ((name, made),) = server.sweeps.items()
    assert made["config"] == config(run.settings())
    assert (made["state"], made["prior"]) == ("FINISHED", None)
    after = read_runs(run.path)
    trials = {"whole-a": name, "whole-b": name}
    assert {one: found.run.sweep_id for one, found in after.items() if found.run.sweep_id} == trials
    assert {one: at for one, at in server.sweep_of.items() if at} == trials
    for one, found in before.items():  # nothing else in the record has changed
        assert (found.history, found.summary, found.exit_code) == (
            after[one].history,
            after[one].summary,
            after[one].exit_code,
        )
    assert [row["val_accuracy"] for row in server.history["whole-a"]] == [0.5]

    time.sleep(1.1)  # W&B names the folder by the second
    record(run, "offline", "d")
    upload(run.path)
    assert (list(server.sweeps), server.sweep_of["whole-d"]) == ([name], name)


def test_trials_that_are_there_already_are_added_as_prior_runs(server: Server, run: RunFolder) -> None:
    server.takes_sweeps = False
    record(run, "offline", "a")
    upload(run.path)
    assert (server.sweeps, server.sweep_of["whole-a"]) == ({}, None)
    server.takes_sweeps = True
    time.sleep(1.1)
    record(run, "offline", "b")
    upload(run.path)
    ((name, made),) = server.sweeps.items()
    assert made["prior"] == {"$or": [{"name": "whole-a"}]}
    assert server.sweep_of["whole-b"] == name


def test_a_server_that_makes_no_sweep_costs_nothing_else(server: Server, run: RunFolder) -> None:
    server.takes_sweeps = False
    tracker = record(run, "online", "a", "b")
    assert tracker.warning is not None
    assert tracker.warning.startswith("W&B: no sweep is made of this search (")
    assert "no permission to make a sweep" in tracker.warning
    assert [len(server.history[one]) for one in ("whole-a", "whole-b")] == [1, 1]
    assert server.exit_codes["whole-a"] == 0
    assert known(run.path) is None


def test_a_server_that_says_nothing_is_not_waited_for(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        start = time.monotonic()
        tracker = record(run, "online", "a", init_timeout=1)
        assert time.monotonic() - start < 60
    assert tracker.warning is not None
    assert "did not answer in 1 s; recording offline" in tracker.warning
    assert "whole-a" in read_runs(run.path)


def test_another_server_makes_a_sweep_of_its_own(server: Server, run: RunFolder, monkeypatch: Any) -> None:
    record(run, "online", "a")
    with serving() as other:
        monkeypatch.setenv("WANDB_BASE_URL", other.address)
        import wandb

        wandb.teardown()
        record(run, "online", "b")
        assert len(other.sweeps) == 1
        found = known(run.path)
        assert found is not None
        assert found.server == other.address


def test_a_record_is_written_again_as_wandb_writes_it(run: RunFolder) -> None:
    """Long ones too, which are cut at the ends of blocks."""
    record(run, "offline", "a")
    (file,) = run.wandb.glob("offline-run-*-whole-a/*.wandb")
    data = file.read_bytes()
    own = list(record_file.records(data))
    assert record_file.content(own) == data
    sizes = (0, 1, 32754, 32755, 32761, 32762, 65520, 100_000)
    long = [bytes([place]) * size for place, size in enumerate(sizes)]
    assert list(record_file.records(record_file.content(long))) == long


def test_a_record_cut_short_is_read_as_far_as_it_goes_and_a_damaged_one_left_alone(run: RunFolder) -> None:
    whole = [b"first" * 9000, b"second"]
    data = record_file.content(whole)
    assert list(record_file.records(data[:-1])) == whole[:1]
    assert list(record_file.records(data[:-8])) == whole[:1]
    file = run.path / "x.wandb"
    file.write_bytes(data[:100] + b"!" + data[101:])
    before = file.read_bytes()
    with pytest.raises(record_file.DamagedRecordError, match="checksum"):
        record_file.change(file, bytes.upper)
    file.write_bytes(json.dumps({}).encode())
    with pytest.raises(record_file.DamagedRecordError, match="does not begin"):
        record_file.change(file, bytes.upper)
    assert before != file.read_bytes() == b"{}"
