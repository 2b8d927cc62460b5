"""A run folder with plausible numbers, written by the tests that read one; nothing in it was trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from fer_tune.filing.files import write_json
from fer_tune.filing.tables import write_table
from fer_tune.objectives import Objective, aim_of
from fer_tune.run_folder import (
    EPOCH_COLUMNS,
    TRIAL_COLUMNS,
    DatasetRef,
    Published,
    RefitResult,
    RunFolder,
    SearchSettings,
)

CLASSES = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
PAPER = {"cnn_baseline": "qutub-atay-2023", "cnn_residual": "ostim-2024"}


@dataclass
class FakeRun:
    """Writes the parts of a run folder; ``top`` is the accuracy that good trials approach."""

    path: Path
    dataset: Path | None = None
    content_hash: str = "0" * 64
    dataset_name: str = "fer2013"
    backbones: tuple[str, ...] = ("cnn_residual", "cnn_baseline")
    trials: int = 8
    epochs: int = 9
    top: float = 0.64
    classes: list[str] = field(default_factory=lambda: list(CLASSES))
    seed: int = 0
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat())  # with which it is known from others
    objectives: list[Objective] = field(default_factory=lambda: ["val_accuracy"])
    sampler: str = "tpe"

    def write(self) -> RunFolder:
        """Write search.yaml, trials.parquet and epochs.parquet; return the folder."""
        self.path.mkdir(parents=True, exist_ok=True)
        folder = RunFolder(self.path)
        folder.write_settings(self.settings())
        rng = np.random.default_rng(self.seed)
        rows: list[dict[str, Any]] = []
        history: list[dict[str, Any]] = []
        for number in range(self.trials * len(self.backbones)):
            row, own = self._trial(number, rng)
            rows.append(row)
            history += own
        write_table(rows, TRIAL_COLUMNS, folder.trials_file)
        write_table(history, EPOCH_COLUMNS, folder.epochs_file)
        folder.tune.mkdir(exist_ok=True)
        (folder.tune / "tuner.pkl").touch()  # by which Tune knows that there is something to go on from
        return folder

    def settings(self) -> SearchSettings:
        published = {
            backbone: [
                Published(
                    name=f"{PAPER.get(backbone, 'paper')}/{backbone}",
                    source="Paper, table 2",
                    dataset="fer2013",
                    config=self._config(backbone, 1e-3, 0.4),
                    reported={"test_accuracy": 60.854},
                )
            ]
            for backbone in self.backbones
        }
        return SearchSettings(
            name=self.path.name,
            created=self.created,
            dataset=DatasetRef(
                path=str(self.dataset or self.path / "no-dataset"),
                name=self.dataset_name,
                content_hash=self.content_hash,
                classes=self.classes,
            ),
            backbones=list(self.backbones),
            trials=self.trials,
            planned=dict.fromkeys(self.backbones, self.trials),
            epochs=self.epochs,
            objectives=self.objectives,
            sampler=self.sampler,
            concurrent=2,
            published=published,
            versions={"fer-tune": "0.1.0", "torch": "2.9.0", "ray": "2.60.0"},
            hardware={"cpu": "2 cores", "gpu": "none"},
        )

    def _config(self, backbone: str, rate: float, augmentation: float, seed: int = 0) -> dict[str, Any]:
        return {
            "backbone": backbone,
            "epochs": self.epochs,
            "learning_rate": rate,
            "batch_size": 64,
            "augmentation": augmentation,
            "weight_decay": 0.01,
            "seed": seed,
        }

    def _trial(self, number: int, rng: np.random.Generator) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        backbone = self.backbones[number % len(self.backbones)]
        first = number < len(self.backbones)
        rate, augmentation = (1e-3, 0.4) if first else (10 ** rng.uniform(-4, -1), rng.uniform())
        quality = np.exp(-(((np.log10(rate) + 2.3) / 1.1) ** 2)) * (1 - 0.25 * (augmentation - 0.6) ** 2)
        ceiling = 0.18 + (self.top - 0.18) * quality * (0.93 if backbone == "cnn_baseline" else 1)
        failed = number == len(self.backbones) + 3
        stopped = not first and quality < 0.6
        length = (
            0
            if failed
            else (max(1, self.epochs // 9 if quality < 0.3 else self.epochs // 3) if stopped else self.epochs)
        )
        trial_id = f"{backbone}-{number // len(self.backbones):04d}"
        history = self._history(trial_id, backbone, ceiling, length, rng)
        row: dict[str, Any] = {
            "trial_id": trial_id,
            "backbone": backbone,
            "origin": f"{PAPER.get(backbone, 'paper')}/{backbone}" if first else "searched",
            "status": "failed" if failed else "stopped" if stopped else "completed",
            "epochs": length,
            "error": "OutOfMemoryError: CUDA out of memory" if failed else None,
        }
        row |= {f"config.{name}": value for name, value in self._config(backbone, rate, augmentation).items()}
        if history:
            aim = aim_of(self.objectives)
            best = max(history, key=lambda epoch: aim.key(epoch[aim.column]))
            row |= {name: best[name] for name in TRIAL_COLUMNS if name in best and name not in row}
            row |= {
                "best_epoch": best["epoch"],
                "seconds": sum(epoch["seconds"] for epoch in history),
                "images_per_second": best["images_per_second"],
            }
        return row, history

    def _history(
        self, trial_id: str, backbone: str, ceiling: float, length: int, rng: np.random.Generator
    ) -> list[dict[str, Any]]:
        epochs = []
        for epoch in range(1, length + 1):
            value = ceiling * (1 - 0.7 * np.exp(-2.5 * epoch / self.epochs * 1.6)) + rng.normal(0, 0.006)
            training = value * (1 + 0.12 * epoch / self.epochs)
            epochs.append(
                {
                    "trial_id": trial_id,
                    "backbone": backbone,
                    "epoch": epoch,
                    "train_loss": 2.0 - 1.6 * training,
                    "train_accuracy": training,
                    "train_balanced_accuracy": training - 0.03,
                    "train_macro_f1": training - 0.02,
                    "val_loss": 2.0 - 1.5 * value,
                    "val_accuracy": value,
                    "val_balanced_accuracy": value - 0.03,
                    "val_macro_f1": value - 0.02,
                    "learning_rate": 1e-3 * (1 - epoch / (self.epochs + 1)),
                    "seconds": 2.0,
                    "images_per_second": 900.0,
                }
            )
        return epochs

    def refit(self, folder: RunFolder, config_id: str, seed: int, accuracy: float, *, failed: bool = False) -> None:
        """Write how one refit ended, with a placeholder for its model."""
        place = folder.refit_seed(config_id, seed)
        place.mkdir(parents=True, exist_ok=True)
        result = RefitResult(config_id=config_id, seed=seed, status="failed", error="RuntimeError: no memory")
        if not failed:
            rng = np.random.default_rng(seed)
            history = self._history(f"{config_id}/seed_{seed}", "cnn_residual", accuracy, self.epochs, rng)
            write_table(history, EPOCH_COLUMNS, place / "epochs.parquet")
            (place / "best.safetensors").write_bytes(str(seed).encode())
            result = RefitResult(
                config_id=config_id,
                seed=seed,
                status="completed",
                epochs=self.epochs,
                best_epoch=self.epochs,
                val_accuracy=accuracy,
                val_balanced_accuracy=accuracy - 0.03,
                val_macro_f1=accuracy - 0.02,
                val_loss=2.0 - 1.5 * accuracy,
                seconds=20.0,
            )
        write_json(result, place / "result.json")

    def refit_joined(self, folder: RunFolder, config_id: str, seed: int) -> None:
        """Write how one refit on train and val together ended, with a placeholder for its model."""
        place = folder.refit_seed(config_id, seed, "train+val")
        place.mkdir(parents=True, exist_ok=True)
        (place / "best.safetensors").write_bytes(str(seed).encode())
        known = {"trial_id": config_id, "backbone": "cnn_residual", "seconds": 2.0, "train_accuracy": 0.7}
        write_table([{**known, "epoch": 1}], EPOCH_COLUMNS, place / "epochs.parquet")
        ended = RefitResult(config_id=config_id, seed=seed, status="completed", epochs=9, trained_on="train+val")
        write_json(ended, place / "result.json")


def guesses(labels: Any, accuracy: float, classes: int, seed: int) -> Any:
    """Return (N, C) float32 probabilities of a made-up classifier that is right on about ``accuracy`` of the images."""
    rng = np.random.default_rng(seed)
    shared = np.random.default_rng(99).uniform(size=len(labels))  # hard images are hard for every seed
    right = 0.7 * shared + 0.3 * rng.uniform(size=len(labels)) < accuracy
    other = (labels + rng.integers(1, classes, len(labels))) % classes
    answer = np.where(right, labels, other)
    probabilities = rng.dirichlet(np.ones(classes), len(labels)) * 0.4
    probabilities[np.arange(len(labels)), answer] += 0.6
    return probabilities.astype(np.float32)
