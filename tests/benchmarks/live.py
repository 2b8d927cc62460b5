"""Epochs that a real search needs: rules without a model, Ray's stock Optuna with ASHA, and ours, trained for real.

    python tests/benchmarks/live.py [--seeds 3] [--epochs 80] [WAY ...]
    python tests/benchmarks/live.py --table fer2013 --data DATA --seeds 6 --epochs 60 "ASHA 1, 3" "ours, nothing known"

repeats on live trials what `efficiency.py` replays on a surrogate: the network and the space of a recorded table, on
drawn faces or on a part of DATA, a prepared dataset, as large as the table's; the searcher and the scheduler of the
engine as users have them.  Every search is stopped after the same number of epochs; what counts is the best validation
accuracy after each, so that nothing here depends on how fast the machine is.

The target is what half of the searches of the first way have found at their end.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import yaml
from efficiency import interval, ratio
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from surrogate import EPOCHS, TABLES, prepared_part, space_of
from ways import known_good

import fer_tune.search.running.engine as engine
from fer_tune.data.synthetic.synthesize import synthesize
from fer_tune.search.cluster.ray_start import start_ray
from fer_tune.search.options import SearchOptions
from fer_tune.search.running.tuner import _trainable
from fer_tune.training.ray_worker import TrialSetup

SEEDS, BUDGET, AT_ONCE = 3, 80, 2
IMAGES = 1_200  # drawn ones, of which 840 are trained on, as in the recorded table
STOCK = "stock OptunaSearch + ASHA"
WAYS: dict[str, dict[str, Any]] = {  # what of the engine's options is another
    "random": {"sampler": "random", "scheduler": "none"},
    "ASHA 2, 3": {"sampler": "random"},
    "ASHA 1, 3": {"sampler": "random", "grace_period": 1},
    "ASHA 1, 9": {"sampler": "random", "grace_period": 1, "reduction_factor": 9},
    STOCK: {},
    "ours": {},
    "ours, nothing known": {"known_good": False},
    "ours, nothing known, ASHA 1, 3": {"known_good": False, "grace_period": 1},
    "TPE, nothing known": {"known_good": False, "sampler": "tpe"},
}
USUAL = ["random", "ASHA 2, 3", STOCK, "ours", "ours, nothing known"]


class Epochs(tune.Callback):
    """The best validation accuracy after each of the first ``budget`` epochs of a search."""

    def __init__(self, budget: int) -> None:
        self.best: list[float] = []
        self._budget = budget

    def spent(self) -> bool:
        return len(self.best) >= self._budget

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        if not self.spent() and result.get("val_accuracy") is not None:
            self.best.append(max(float(result["val_accuracy"]), self.best[-1] if self.best else 0.0))

    def __getstate__(self) -> dict[str, Any]:
        return {"best": [], "_budget": self._budget}


class Spent(tune.Stopper):
    """Ends a search when the epochs of its budget are over."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._epochs.spent()


def stock(table: str, data: Path, weights: str | None, folder: Path, seed: int, epochs: Epochs) -> None:
    """Ray's Tuner with its OptunaSearch and ASHA as documented; the trials are ours."""
    space = space_of(table)
    given = {"weights": weights} if weights else {}
    always = {"backbone": space.backbone, "epochs": EPOCHS, "seed": seed, "origin": "searched", **space.fixed, **given}
    tune.Tuner(
        _trainable(TrialSetup(str(data), 1.0, 0.0, 1)),
        param_space=always,
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(space=space.suggest, metric="val_accuracy", mode="max", seed=seed),
            scheduler=ASHAScheduler(metric="val_accuracy", mode="max", max_t=EPOCHS),
            num_samples=10_000,
            max_concurrent_trials=AT_ONCE,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=f"stock-{seed}", storage_path=str(folder), callbacks=[epochs], stop=Spent(epochs), verbose=0
        ),
    ).fit()


def counted_search(options: SearchOptions, epochs: Epochs) -> None:
    """Run the search engine, with its tables, journal and snapshots, until ``epochs`` are spent."""
    tuner_of = engine.new_tuner

    def tuner(*args: Any, **options: Any) -> tune.Tuner:
        made = tuner_of(*args, **options)
        made._local_tuner._run_config.callbacks.append(epochs)
        made._local_tuner._run_config.stop = Spent(epochs)
        return made

    engine.new_tuner = tuner
    try:
        engine.search(options)
    finally:
        engine.new_tuner = tuner_of


def ours(name: str, table: str, data: Path, weights: str | None, folder: Path, seed: int, epochs: Epochs) -> None:
    """The search engine in the space of a table."""
    space = space_of(table)
    known = [{"name": entry.name, "config": entry.config} for entry in known_good(space)]
    file = folder / "space.yaml"
    file.write_text(yaml.safe_dump({**space.resolved(), "known_good": known}))
    options = SearchOptions(
        data=data,
        backbones=[space.backbone],
        trials=10_000,
        epochs=EPOCHS,
        name=f"{len(list(folder.iterdir()))}",
        storage=folder,
        seed=seed,
        spaces=[str(file)],
        weights=[weights] if weights else [],
        published=False,
        wandb="disabled",
        concurrent=AT_ONCE,
        cpus_per_trial=1,
        **WAYS[name],
    )
    counted_search(options, epochs)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("ways", nargs="*", metavar="WAY", help="; ".join(WAYS))
    asked.add_argument("--table", choices=TABLES, default="drawn", help="whose network and space it is")
    asked.add_argument("--data", type=Path, metavar="DATA", help="a prepared dataset; drawn faces without it")
    asked.add_argument("--weights", help="that trials start from")
    asked.add_argument("--seeds", type=int, default=SEEDS)
    asked.add_argument("--epochs", type=int, default=BUDGET, help="of one search")
    given = asked.parse_args()
    names = list(dict.fromkeys(given.ways)) or USUAL
    if unknown := sorted(set(names) - WAYS.keys()):
        asked.error(f"{', '.join(unknown)}: not one of {'; '.join(WAYS)}")
    if given.data is None and given.table != "drawn":
        asked.error(f"--table {given.table} is of other faces: --data says where they are")
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0", "FER_TUNE_OUTPUT": "quiet"}
    start_ray(num_cpus=AT_ONCE)
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if given.data is None:
            data = folder / "data"
            synthesize(data, size=IMAGES, seed=0)
        else:
            data = prepared_part(TABLES[given.table], str(given.data), folder / "data")
        for seed in range(given.seeds):
            for name in names:
                epochs, began = Epochs(given.epochs), time.perf_counter()
                if name == STOCK:
                    stock(given.table, data, given.weights, folder, seed, epochs)
                else:
                    ours(name, given.table, data, given.weights, folder, seed, epochs)
                found[name].append(epochs.best[: given.epochs])
                print(f"seed {seed} {name:28} {epochs.best[-1]:.2%} in {time.perf_counter() - began:.0f} s", flush=True)
    print(f"{given.table}: {given.seeds} seeds, {given.epochs} epochs each, {AT_ONCE} trials at once")
    summary({name: np.array(runs) for name, runs in found.items()})


def summary(curves: dict[str, np.ndarray]) -> None:
    """Print a row for each way; ``curves`` has the (seeds, epochs) best accuracies so far of each."""
    first = next(iter(curves))
    bases = list(dict.fromkeys([first, *({STOCK} & curves.keys())]))
    budget = curves[first].shape[1]
    target = float(np.median(curves[first][:, -1]))
    print(f"target: {target:.2%}, the median of what {first} has found at its end; what missed it counts as {budget}")
    columns = "".join(f"{f'{base} / it':>{max(22, len(base) + 7)}}" for base in bases)
    print(f"{'':30} {'epochs to the target':>26} {'missed':>7}{columns}  best at the end")
    count = np.arange(1, budget + 1)
    needed = {name: np.where(curve >= target, count, budget).min(axis=1) for name, curve in curves.items()}
    for name, epochs_needed in needed.items():
        low, high = interval(curves[name][:, -1], lambda values: float(values.mean()))
        missed = int((curves[name][:, -1] < target).sum())
        told = ", ".join(str(value) for value in epochs_needed)
        ratios = "".join(f"{ratio(needed[base], epochs_needed):>{max(22, len(base) + 7)}}" for base in bases)
        end = f"{curves[name][:, -1].mean():.2%} ({low:.2%} to {high:.2%})"
        print(f"{name:30} {told:>26} {missed:7}{ratios}  {end}")


if __name__ == "__main__":
    main()
