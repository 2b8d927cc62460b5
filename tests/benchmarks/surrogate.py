"""Learning curves of any setting, from real training: what `efficiency.py` and `allocation.py` replay searches on.

`python tests/benchmarks/surrogate.py record` trained them into ``curves/curves.parquet``: random settings of a small
CNN on the embedded dataset, every trial to its last epoch.  A regression on settings gives the curve of any other.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import cross_val_predict

from fer_tune.search.spaces.loading import load_space
from fer_tune.search.spaces.space import SearchSpace

HERE = Path(__file__).parent / "curves"
EPOCHS, TRIALS, IMAGES = 9, 300, 1_200  # of the recording


def record() -> None:
    """Train random settings with the search engine itself and keep what a replay needs."""
    from fer_tune.data.synthetic.synthesize import synthesize
    from fer_tune.run_folder import RunFolder
    from fer_tune.search.options import SearchOptions
    from fer_tune.search.running.engine import search

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "faces"
        synthesize(data, size=IMAGES, seed=0)
        run: RunFolder = search(
            SearchOptions(
                data=data,
                backbones=["cnn_simpler"],
                trials=TRIALS,
                epochs=EPOCHS,
                name="curves",
                storage=Path(folder) / "runs",
                spaces=[str(HERE / "space.yaml")],
                sampler="random",
                scheduler="none",
                published=False,
                wandb="disabled",
                concurrent=2,
            )
        ).run
        epochs = pd.read_parquet(run.epochs_file).sort_values(["trial_id", "epoch"])
        curves = epochs.groupby("trial_id")["val_accuracy"].apply(list).rename("val_accuracy")
        trials = pd.read_parquet(run.trials_file).set_index("trial_id")
    names = [f"config.{name}" for name in load_space(str(HERE / "space.yaml")).parameters]
    table = trials[names].rename(columns=lambda name: name.removeprefix("config.")).join(curves, how="inner")
    table.reset_index(drop=True).to_parquet(HERE / "curves.parquet")


class Surrogate:
    """Validation accuracy after each epoch of a setting, regressed on the recorded trials.

    A trial whose training diverged has too few epochs; its missing ones count as its last.
    """

    def __init__(self, space: SearchSpace) -> None:
        table = pd.read_parquet(HERE / "curves.parquet")
        self._space = space
        rows = np.array([self._encode(row) for row in table.drop(columns="val_accuracy").to_dict("records")])
        curves = np.array([list(curve) + [curve[-1]] * (EPOCHS - len(curve)) for curve in table["val_accuracy"]])
        model = ExtraTreesRegressor(100, min_samples_leaf=2, random_state=0)
        guessed = cross_val_predict(model, rows, curves, cv=10)
        residual, spread = ((guessed - curves) ** 2).sum(axis=0), ((curves - curves.mean(axis=0)) ** 2).sum(axis=0)
        self.trials, self.r2 = len(table), 1 - residual / spread  # per epoch
        self.best_recorded, self.median_recorded = curves.max(), float(np.median(curves.max(axis=1)))
        self._model = model.fit(rows, curves)
        self._known: dict[tuple[float, ...], np.ndarray] = {}

    def curve(self, settings: dict[str, Any]) -> np.ndarray:
        """Return (epochs,) float64 accuracies in [0, 1]."""
        row = tuple(self._encode(settings))
        if row not in self._known:
            self._known[row] = self._model.predict([row])[0]
        return self._known[row]

    def _encode(self, settings: dict[str, Any]) -> list[float]:
        row = []
        for name, parameter in self._space.parameters.items():
            value = settings.get(name) if parameter.applies(settings) else None
            if value is None:
                row.append(0.0)
            elif isinstance(value, str):
                row.append(float(parameter.values.index(value)))
            else:
                row.append(float(np.log(value)) if name in ("learning_rate", "weight_decay", "batch_size") else value)
        return row


if __name__ == "__main__" and sys.argv[1:2] == ["record"]:
    record()
