from __future__ import annotations

from pathlib import Path

import pytest
import wandb
from wandb_reader import read_runs

from fer_tune.tracking.record import record_run


def test_a_refit_is_a_run_in_the_group_of_its_search(run_folder: Path) -> None:
    warning = record_run(
        run_folder,
        mode="offline",
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
    warning = record_run(run_folder, mode="offline", job_type="test", name="test", group="smoke", config={})
    assert warning == "W&B: no room on the disk; not recorded from here on"


def test_disabled_records_nothing(run_folder: Path) -> None:
    assert record_run(run_folder, mode="disabled", job_type="test", name="test", group="smoke", config={}) is None
    assert list(run_folder.iterdir()) == []
