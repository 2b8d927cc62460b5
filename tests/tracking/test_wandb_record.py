from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import wandb
from fake_run import FakeRun
from wandb_once import record_one, record_the_search
from wandb_reader import read_runs

from fer_tune.tracking import record
from fer_tune.tracking.attached import Attachments


def test_a_refit_is_a_run_in_the_group_of_its_search(run_folder: Path) -> None:
    warning = record_one(
        run_folder,
        job_type="refit",
        name="cnn-0a1b seed 3",
        group="smoke",
        config={"seed": 3, "learning_rate": 0.1},
        history=[{"epoch": 1, "val_accuracy": 0.4}, {"epoch": 2, "val_accuracy": 0.6}],
        summary={"best_val_accuracy": 0.6},
        tags=["cnn"],
    )
    assert warning is None
    (run,) = read_runs(run_folder).values()
    assert (run.run.job_type, run.run.run_group, run.run.display_name) == ("refit", "smoke", "cnn-0a1b seed 3")
    assert (run.config["seed"], run.config["learning_rate"]) == (3, 0.1)
    assert [(row["epoch"], row["val_accuracy"]) for row in run.history] == [(1, 0.4), (2, 0.6)]
    assert run.summary["best_val_accuracy"] == 0.6
    assert run.exit_code == 0


def test_a_failing_wandb_is_told_and_not_raised(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("no room on the disk")

    monkeypatch.setattr(wandb, "init", broken)
    warning = record_one(run_folder, job_type="test", name="test", group="smoke", config={})
    assert warning == "W&B: no room on the disk; not recorded from here on"


def test_disabled_records_nothing(run_folder: Path) -> None:
    assert record_one(run_folder, mode="disabled", job_type="test", name="test", group="smoke", config={}) is None
    assert list(run_folder.iterdir()) == []


def test_a_search_is_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home data"))
    folder = FakeRun(tmp_path / "whole", backbones=("cnn_residual",), created="2026-01-02T03:04:05+00:00").write()
    assert record_the_search(folder) is None
    (run,) = read_runs(folder.path).values()
    trials = pq.read_table(folder.trials_file).to_pylist()
    best = max(row["val_accuracy"] for row in trials if row["val_accuracy"] is not None)
    assert (run.run.run_id, run.run.job_type, run.run.run_group) == (
        "20260102030405-whole-search",
        "search",
        "whole",
    )
    assert run.metrics["*"] == "trials"
    points = [row for row in run.history if "epochs_spent" in row]
    assert [row["trials"] for row in points] == list(range(1, len(trials) + 1))
    assert points[-1]["best_val_accuracy"] == run.summary["best_val_accuracy"] == best
    assert points[-1]["epochs_spent"] == sum(row["epochs"] for row in trials)
    stopped = [row for row in trials if row["status"] == "stopped"]
    assert run.summary["trials_stopped"] == len(stopped)
    assert run.summary["epochs_saved"] == sum(folder.settings().epochs - row["epochs"] for row in stopped)
    assert points[-1]["epochs_saved"] == run.summary["epochs_saved"]
    accuracies = [row["trial_val_accuracy"] for row in points if "trial_val_accuracy" in row]
    assert accuracies == [row["val_accuracy"] for row in trials if row["val_accuracy"] is not None]
    assert run.summary["trials_finished"] == len(trials)
    leaderboard = run.table("leaderboard")
    assert [row["val_accuracy"] for row in leaderboard] == sorted(accuracies, reverse=True)
    assert "whole-settings" in run.artifacts
    assert run.config["sampler"] == "tpe"
    outside = [file for file in tmp_path.rglob("*") if file.is_file() and "leaderboard" in file.read_text("latin-1")]
    assert all(file.is_relative_to(folder.path) for file in outside)  # what must be uploaded stays with the run
    assert list(folder.wandb.rglob("staging/*"))


def test_the_program_adds_which_settings_mattered(tmp_path: Path) -> None:
    importlib.import_module("fer_tune.cli.main")  # it composes the packages
    folder = FakeRun(tmp_path / "whole", backbones=("cnn_residual",), trials=24, seed=1, sampler="random").write()
    assert record_the_search(folder) is None
    (run,) = read_runs(folder.path).values()
    rows = run.table("importance")
    assert {row["setting"] for row in rows} == {"learning_rate", "augmentation"}
    assert {row["epoch"] for row in rows} == {1}  # where ASHA judges first: as far as all of them came
    assert all(row["low"] <= row["share"] <= row["high"] for row in rows)
    assert [(row["label"], row["value"]) for row in run.table("importance_cnn_residual_table")] == [
        (row["setting"], row["share"]) for row in rows
    ]
    assert run.config["_wandb.visualize.importance_cnn_residual"]["panel_config"]["panelDefId"] == "wandb/bar/v0"


def test_what_others_add_to_a_search_cannot_cost_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Path) -> Attachments:
        raise ValueError("too few trials")

    monkeypatch.setattr(record, "to_search", [broken, lambda _: Attachments({"more": [{"a": 1}]})])
    folder = FakeRun(tmp_path / "whole", backbones=("cnn_residual",)).write()
    assert record_the_search(folder) is None
    (run,) = read_runs(folder.path).values()
    assert run.table("more") == [{"a": 1}]
    assert run.table("leaderboard")
    told = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert told == ["W&B: not all of the search is recorded: too few trials"]


def test_a_search_of_the_same_name_is_another_run(tmp_path: Path) -> None:
    settings = FakeRun(tmp_path / "demo").settings()
    later = settings.model_copy(update={"created": "2026-01-02T03:04:06+00:00"})
    assert record.search_run_id(settings) != record.search_run_id(later)


def test_an_offline_run_is_read_by_wandbs_own_terminal_program(run_folder: Path) -> None:
    record_one(
        run_folder,
        job_type="refit",
        name="refit",
        group="smoke",
        config={"seed": 3},
        history=[{"epoch": 1, "val_accuracy": 0.4}],
        summary={"best_val_accuracy": 0.6},
    )
    (folder,) = run_folder.glob("wandb/offline-run-*")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(folder)]
    shown = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert shown["summary"]["best_val_accuracy"] == 0.6
    assert shown["config"]["seed"] == 3
