"""Learning curves of any setting, from real training: what `efficiency.py` and `allocation.py` replay searches on.

    python tests/benchmarks/surrogate.py TABLE DATA RESULTS.jsonl [WEIGHTS]

trains a table of :data:`TABLES` on a part of DATA, a prepared dataset, and writes ``curves/TABLE.parquet``: random
settings, every trial to its last epoch, and some of them again with other seeds.  It needs no Ray.  RESULTS gets a line
for each trial, and those that are in it are not trained again, so a recording that was cut goes on.  WORKERS=2 in the
environment trains so many side by side (one a core by default).

A regression on settings gives the curve of any other.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict

from fer_tune.search.spaces.loading import load_space
from fer_tune.search.spaces.space import SearchSpace

HERE = Path(__file__).parent / "curves"
EPOCHS = 9  # of every recorded trial


@dataclass(frozen=True)
class Table:
    """A recording; its space is ``curves/NAME.yaml``."""

    told: str
    trials: int  # with settings drawn at random
    repeats: int  # of these are trained with two more seeds: what a seed alone changes
    train: int  # images, at most: so that a table takes hours and not days
    validation: int


TABLES = {
    "drawn": Table("cnn_simpler on drawn faces, from random weights", 300, 0, 840, 180),
    "fer2013": Table("cnn_separable on FER2013, from random weights", 200, 15, 3_000, 1_500),
    "fine-tuned": Table("EfficientNet-Lite0 on FER2013, from ImageNet weights", 54, 10, 1_600, 1_000),
}


def space_of(name: str) -> SearchSpace:
    """Return the space that a table was recorded in."""
    return load_space(str(HERE / f"{name}.yaml"), against_model=False)


class Surrogate:
    """Validation accuracy after each epoch of a setting, regressed on the recorded trials.

    A trial whose training diverged has too few epochs; its missing ones count as its last.  What was trained again with
    other seeds is left to :meth:`noisy`.
    """

    def __init__(self, name: str = "drawn") -> None:
        recorded = pd.read_parquet(HERE / f"{name}.parquet")
        self.space = space_of(name)
        table = recorded[recorded["trial"] == recorded["seed"]] if "seed" in recorded else recorded
        rows = np.array([self._encode(row) for row in table.to_dict("records")])
        curves = _whole(table["val_accuracy"])
        model = ExtraTreesRegressor(100, min_samples_leaf=2, random_state=0)
        guessed = cross_val_predict(model, rows, curves, cv=10)
        residual, spread = ((guessed - curves) ** 2).sum(axis=0), ((curves - curves.mean(axis=0)) ** 2).sum(axis=0)
        self.trials, self.r2 = len(table), 1 - residual / spread  # per epoch
        self.best_recorded, self.median_recorded = curves.max(), float(np.median(curves.max(axis=1)))
        self._trees = [tree.tree_ for tree in model.fit(rows, curves).estimators_]
        self._known: dict[tuple[float, ...], np.ndarray] = {}
        self.noise_from = "recorded repeats" if len(table) < len(recorded) else "cross-validation"
        around, deviations = (guessed, curves - guessed) if len(table) == len(recorded) else _of_seeds(recorded)
        order = np.argsort(around[:, -1])
        self._around, self._deviations = around[order, -1], deviations[order]

    def curve(self, settings: dict[str, Any]) -> np.ndarray:
        """Return (epochs,) float64 accuracies in [0, 1]."""
        row = tuple(self._encode(settings))
        if row not in self._known:
            given = np.array([row], np.float32)
            self._known[row] = np.mean([tree.predict(given)[0].ravel() for tree in self._trees], axis=0)
        return self._known[row]

    def noisy(self, curve: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return (epochs,) a curve as one training might show it.

        What is added, for all its epochs together, is how one recorded curve lay apart: from the mean over its seeds
        where settings were recorded with several; else from what cross-validation made of it, which is more than seeds
        change, since it holds the regression's own error.  It is drawn from the 20 recorded curves that end nearest.
        """
        first = int(np.clip(np.searchsorted(self._around, curve[-1]) - 10, 0, max(len(self._around) - 20, 0)))
        return np.clip(curve + self._deviations[first + rng.integers(min(20, len(self._around)))], 0.0, 1.0)

    @property
    def noise(self) -> np.ndarray:
        """(2,) standard deviation of the noise after the first and the last epoch, of the best half of the curves."""
        return self._deviations[len(self._deviations) // 2 :, [0, -1]].std(axis=0)

    def _encode(self, settings: dict[str, Any]) -> list[float]:
        row = []
        for name, parameter in self.space.parameters.items():
            value = settings.get(name) if parameter.applies(settings) else None
            if value is None:
                row.append(0.0)
            elif isinstance(value, str):
                row.append(float(parameter.values.index(value)))
            else:
                row.append(float(np.log(value)) if name in ("learning_rate", "weight_decay", "batch_size") else value)
        return row


def _whole(curves: pd.Series) -> np.ndarray:
    return np.array([list(curve) + [curve[-1]] * (EPOCHS - len(curve)) for curve in curves])


def _of_seeds(recorded: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the means over seeds, a row for each curve, and how the curve lies apart, unbiased for so few seeds."""
    around, deviations = [], []
    for _, rows in recorded.groupby("trial"):
        if (seeds := len(rows)) > 1:
            curves = _whole(rows["val_accuracy"])
            around.append(np.repeat(curves.mean(axis=0, keepdims=True), seeds, axis=0))
            deviations.append((curves - curves.mean(axis=0)) * np.sqrt(seeds / (seeds - 1)))
    return np.concatenate(around), np.concatenate(deviations)


def record(name: str, data: str, results: Path, weights: str | None) -> None:
    """Train what is not in ``results`` yet, and write the table."""
    workers = int(os.environ.get("WORKERS", os.cpu_count() or 1))
    done = [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []
    known = {row["seed"] for row in done}  # each trial has its own
    left = [row for row in drawn(name) if row["seed"] not in known]
    fresh = multiprocessing.get_context("spawn")  # a forked process cannot use a GPU that its parent has used
    with tempfile.TemporaryDirectory() as folder, fresh.Pool(workers, one_thread, maxtasksperchild=50) as pool:
        part = prepared_part(TABLES[name], data, Path(folder) / "part")
        for number, row in enumerate(pool.imap_unordered(partial(trained, part, weights), left), 1):
            done.append(row)
            with results.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{number} of {len(left)}: {max(row['val_accuracy'], default=0.0):.1%}", flush=True)
    table = pd.DataFrame([{**row["settings"], **row} for row in done]).drop(columns="settings")
    table.sort_values(["trial", "seed"]).reset_index(drop=True).to_parquet(HERE / f"{name}.parquet")


def drawn(name: str) -> list[dict[str, Any]]:
    """Return the trials of a table, each with its settings and seed; the repeated ones last."""
    space, table = space_of(name), TABLES[name]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    rows: list[dict[str, Any]] = [
        {"trial": n, "seed": n, "backbone": space.backbone, "settings": space.suggest(study.ask())}
        for n in range(table.trials)
    ]
    again = [{**row, "seed": row["seed"] + table.trials * more} for row in rows[: table.repeats] for more in (1, 2)]
    return rows + again


def prepared_part(table: Table, data: str, folder: Path) -> Path:
    """Return the folder of as many images as the table takes."""
    from part_of import part_of

    from fer_tune.data.prepared.store import PreparedDataset

    whole = PreparedDataset.open(data)
    return Path(data) if part_of(whole, folder, table.train, table.validation) is whole else folder


def one_thread() -> None:
    """Processes side by side must not fight for the cores."""
    import torch

    torch.set_num_threads(1)


def trained(part: Path, weights: str | None, row: dict[str, Any]) -> dict[str, Any]:
    """Train a trial, and return its row with its curve."""
    from fer_tune.config import TrialConfig
    from fer_tune.data.prepared.store import PreparedDataset
    from fer_tune.training.loop import train

    given = {"weights": weights} if weights else {}
    config = TrialConfig(**row["settings"], **given, backbone=row["backbone"], epochs=EPOCHS, seed=row["seed"])
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(config, PreparedDataset.open(part), Path(folder))
    return {**row, "val_accuracy": [epoch["val_accuracy"] for epoch in outcome.history]}


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in TABLES:
        sys.exit(__doc__)
    record(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
