"""An earlier run that a new search begins from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_tune.filing.tables import write_table
from fer_tune.run_folder import TRIAL_COLUMNS, DatasetRef, RunFolder, SearchSettings


def made(path: Path, good: float, fair: float, backbone: str = "cnn_residual") -> Path:
    """Write a run whose best trials have these learning rates, the second of which was stopped, and return its folder.

    Its other trials are a poor one, one that failed and one that has no value yet.
    """
    run = RunFolder(path)
    run.path.mkdir(parents=True)
    dataset = DatasetRef(path="x", name="tiny", content_hash="h", classes=["a", "b"])
    run.write_settings(
        SearchSettings(
            name=path.name,
            created="now",
            dataset=dataset,
            backbones=[backbone],
            trials=4,
            planned={backbone: 4},
            epochs=3,
        )
    )

    def row(trial: str, accuracy: float | None, status: str = "completed", **config: Any) -> dict[str, Any]:
        settings = {
            "learning_rate": 1e-3,
            "momentum": None,
            "epochs": 3,
            "seed": 0,
            "backbone": backbone,
        } | config
        return {
            "trial_id": trial,
            "backbone": backbone,
            "origin": "searched",
            "status": status,
            "val_accuracy": accuracy,
            **{f"config.{name}": value for name, value in settings.items()},
        }

    rows = [
        row("poor", 0.3),
        row("good", 0.6, learning_rate=good),
        row("fair", 0.5, "stopped", learning_rate=fair),
        row("dead", 0.9, "failed"),
        row("new", None, "running"),
    ]
    write_table(rows, TRIAL_COLUMNS, run.trials_file)
    return run.path
