from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fer_tune.errors import UserError
from fer_tune.objectives import OBJECTIVES
from fer_tune.run_folder import EPOCH_COLUMNS, TRIAL_COLUMNS, DatasetRef, RunFolder, SearchSettings
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.proposing.warm_start import best_of
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.tables import write_table


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    run = RunFolder(tmp_path / "earlier")
    run.path.mkdir()
    dataset = DatasetRef(path="x", name="tiny", content_hash="h", classes=["a", "b"])
    run.write_settings(
        SearchSettings(
            name="earlier",
            created="now",
            dataset=dataset,
            backbones=["cnn_residual"],
            trials=4,
            planned={"cnn_residual": 4},
            epochs=3,
        )
    )

    def row(trial: str, accuracy: float | None, status: str = "completed", **config: Any) -> dict[str, Any]:
        settings = {
            "learning_rate": 1e-3,
            "momentum": None,
            "epochs": 3,
            "seed": 0,
            "backbone": "cnn_residual",
        } | config
        return {
            "trial_id": trial,
            "backbone": "cnn_residual",
            "origin": "searched",
            "status": status,
            "val_accuracy": accuracy,
            **{f"config.{name}": value for name, value in settings.items()},
        }

    rows = [
        row("poor", 0.3),
        row("good", 0.6, learning_rate=5e-3),
        row("fair", 0.5, "stopped", learning_rate=2e-3),
        row("dead", 0.9, "failed"),
        row("new", None, "running"),
    ]
    write_table(rows, TRIAL_COLUMNS, run.trials_file)
    return run.path


def test_the_best_come_first_and_failed_ones_not_at_all(earlier):
    found = best_of(earlier, ["cnn_residual", "resnet18"], 2)
    assert [candidate.name for candidate in found["cnn_residual"]] == ["earlier/good", "earlier/fair"]
    assert found["cnn_residual"][0].config == {"learning_rate": 5e-3}
    assert found["resnet18"] == []


def test_they_are_the_best_by_what_is_searched_for_now(earlier):
    def epoch(trial: str, number: int, accuracy: float, loss: float) -> dict[str, Any]:
        return {"trial_id": trial, "epoch": number, "val_accuracy": accuracy, "val_loss": loss}

    curves = [epoch("good", 1, 0.4, 1.3), epoch("good", 2, 0.6, 1.9), epoch("fair", 1, 0.5, 1.1)]
    write_table(curves, EPOCH_COLUMNS, RunFolder(earlier).epochs_file)
    found = best_of(earlier, ["cnn_residual"], 2, OBJECTIVES["val_loss"])["cnn_residual"]
    assert [candidate.name for candidate in found] == ["earlier/fair", "earlier/good"]


def test_they_are_the_first_trials_of_the_new_search(earlier, tmp_path):
    space = from_resolved({"backbone": "cnn_residual", "search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}}})
    searcher = StudySearcher(
        {"cnn_residual": space}, best_of(earlier, ["cnn_residual"], 2), 3, 5, 0, RunFolder(tmp_path)
    )
    drawn = [searcher.suggest(name) for name in "abc"]
    assert [(settings["origin"], settings["learning_rate"]) for settings in drawn[:2]] == [  # type: ignore[index]
        ("earlier/good", 5e-3),
        ("earlier/fair", 2e-3),
    ]
    assert drawn[2]["origin"] == "searched"  # type: ignore[index]


def test_a_run_without_these_backbones_is_refused(earlier):
    with pytest.raises(UserError, match=r"no trial of resnet18 to start from; it has trials of: cnn_residual"):
        best_of(earlier, ["resnet18"], 2)


def test_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        best_of(tmp_path / "nowhere", ["resnet18"], 2)
