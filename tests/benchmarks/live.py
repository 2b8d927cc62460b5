"""Epochs that a real search needs: random search, Ray's stock Optuna with ASHA, and ours, each trained for real.

`python tests/benchmarks/live.py [seeds] [epochs of one search]`.  It repeats on live trials what `efficiency.py`
replays on a surrogate: a small CNN on drawn faces, the same wide space, the searcher and the scheduler of the engine as
users have them.  Every search is stopped after the same number of epochs; what counts is the best validation accuracy
after each, so that nothing here depends on how fast the machine is.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import ray
import yaml
from efficiency import interval, ratio
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from surrogate import EPOCHS, space_of

import fer_tune.search.running.engine as engine
from fer_tune.data.synthetic.synthesize import synthesize
from fer_tune.kinds import Sampler, Scheduler
from fer_tune.search.options import SearchOptions
from fer_tune.search.spaces.loading import load_space
from fer_tune.training.ray_worker import TrialSetup

SEEDS, BUDGET, AT_ONCE = 3, 80, 2
IMAGES = 1_200  # of which 840 are trained on, as in the recorded table
WAYS: dict[str, tuple[Sampler, Scheduler, bool]] = {  # and whether it tries first what the shipped spaces know
    "random": ("random", "none", False),
    "random + ASHA": ("random", "asha", False),
    "ours": ("tpe", "asha", True),
    "ours, nothing known": ("tpe", "asha", False),
}
STOCK = "stock OptunaSearch + ASHA"


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


def stock(data: Path, folder: Path, seed: int, epochs: Epochs) -> None:
    """Ray's Tuner with its OptunaSearch and ASHA as documented; the trials are ours."""
    space = space_of("drawn")
    trainable = engine._trainable(None, TrialSetup(str(data), 1.0, 0.0, 1, measure=False))  # type: ignore[arg-type]
    tune.Tuner(
        trainable,
        param_space={"backbone": space.backbone, "epochs": EPOCHS, "seed": seed, "origin": "searched", **space.fixed},
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


def ours(name: str, data: Path, folder: Path, seed: int, epochs: Epochs) -> None:
    """The search engine, with its tables, journal and snapshots."""
    sampler, scheduler, known = WAYS[name]
    tuner_of = engine._tuner

    def tuner(*args: Any) -> tune.Tuner:
        made = tuner_of(*args)
        made._local_tuner._run_config.callbacks.append(epochs)
        made._local_tuner._run_config.stop = Spent(epochs)
        return made

    space = space_of("drawn")
    shipped = load_space(space.backbone, against_model=False).known_good
    file = folder / "space.yaml"
    file.write_text(yaml.safe_dump(space.model_copy(update={"known_good": shipped}).resolved()))
    engine._tuner = tuner
    try:
        engine.search(
            SearchOptions(
                data=data,
                backbones=["cnn_simpler"],
                trials=10_000,
                epochs=EPOCHS,
                name=f"{sampler}-{scheduler}-{known}-{seed}",
                storage=folder,
                seed=seed,
                spaces=[str(file)],
                known_good=known,
                sampler=sampler,
                scheduler=scheduler,
                published=False,
                wandb="disabled",
                concurrent=AT_ONCE,
                cpus_per_trial=1,
            )
        )
    finally:
        engine._tuner = tuner_of


def main() -> None:
    seeds, budget = (int(value) for value in (sys.argv[1:] + [str(SEEDS), str(BUDGET)][len(sys.argv) - 1 :])[:2])
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0", "FER_TUNE_OUTPUT": "quiet"}
    ray.init(num_cpus=AT_ONCE, log_to_driver=False, logging_level=logging.ERROR)
    names = ["random", "random + ASHA", STOCK, "ours", "ours, nothing known"]
    found: dict[str, list[list[float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        synthesize(folder / "data", size=IMAGES, seed=0)
        for seed in range(seeds):
            for name in names:
                epochs, began = Epochs(budget), time.perf_counter()
                if name == STOCK:
                    stock(folder / "data", folder, seed, epochs)
                else:
                    ours(name, folder / "data", folder, seed, epochs)
                found[name].append(epochs.best[:budget])
                print(f"seed {seed} {name:28} {epochs.best[-1]:.2%} in {time.perf_counter() - began:.0f} s", flush=True)
    curves = {name: np.array(runs) for name, runs in found.items()}
    target = float(np.median(curves["random"][:, -1]))
    print(f"{seeds} seeds, {budget} epochs each, {AT_ONCE} trials at once; target: {target:.2%}, random's last")
    print(f"{'':28} {'epochs to the target':>22} {'missed':>7} {'random / it':>20} {'stock / it':>20}  best at the end")
    count = np.arange(1, budget + 1)
    needed = {name: np.where(curve >= target, count, budget).min(axis=1) for name, curve in curves.items()}
    for name, epochs_needed in needed.items():
        low, high = interval(curves[name][:, -1], lambda values: float(values.mean()))
        missed = int((curves[name][:, -1] < target).sum())
        told = ", ".join(str(value) for value in epochs_needed)
        ratios = [f"{ratio(needed[base], epochs_needed):>20}" for base in ("random", STOCK)]
        end = f"{curves[name][:, -1].mean():.2%} ({low:.2%} to {high:.2%})"
        print(f"{name:28} {told:>22} {missed:7} {ratios[0]} {ratios[1]}  {end}")


if __name__ == "__main__":
    main()
