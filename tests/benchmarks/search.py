"""Seconds that a trial costs beyond its training: Ray's documented pattern, a plain function, and ours.

Run it on an idle machine: `make bench`, or `python tests/benchmarks/search.py [trials]`. The overhead of a pattern is
the mean time from the last epoch of a trial to the first epoch of the next, less that epoch's own seconds.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from drawing import tiny_dataset
from ray import tune

from fer_tune.config import FIELDS
from fer_tune.search.ray_session import ray_session
from fer_tune.training.ray_worker import TrialSetup, _fit_group, run_trial

CONFIG = {"backbone": "cnn_simpler", "epochs": 3, "batch_size": 35, "learning_rate": 1e-3}


class Clock(tune.Callback):
    """When each epoch was reported, and how long it took."""

    def __init__(self) -> None:
        self.reports: dict[str, list[tuple[float, float]]] = {}

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        self.reports.setdefault(trial.trial_id, []).append((time.perf_counter(), result["seconds"]))

    def overhead(self) -> float:
        """Mean seconds between two trials that follow each other."""
        trials = sorted(self.reports.values())
        gaps = [after[0][0] - after[0][1] - before[-1][0] for before, after in pairwise(trials)]
        return sum(gaps) / len(gaps)


def documented(config: dict[str, Any], setup: TrialSetup) -> None:
    """`TorchTrainer.fit()` with one worker inside a Tune trial, as Ray's documentation has it."""
    _fit_group({"config": {name: config[name] for name in FIELDS if name in config}, "setup": setup}, setup)


def measure(trainable: Any, setup: TrialSetup, resources: dict[str, float], reuse: bool, trials: int) -> float:
    clock = Clock()
    with tempfile.TemporaryDirectory() as storage:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, setup=setup), resources),
            param_space={**CONFIG, "seed": tune.grid_search(list(range(trials)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=reuse),
            run_config=tune.RunConfig(name="bench", storage_path=storage, callbacks=[clock], verbose=0),
        ).fit()
    return clock.overhead()


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    with tempfile.TemporaryDirectory() as folder:
        tiny_dataset(Path(folder) / "tiny")
        setup = TrialSetup(str(Path(folder) / "tiny"), cpus=1, gpus=0, workers=1)
        with ray_session(dashboard=True):
            logging.getLogger("ray").setLevel(logging.ERROR)
            found = {
                "ours: local mode, process reused": measure(run_trial, setup, {"CPU": 1}, True, 2 * trials),
                "the same, a process per trial": measure(run_trial, setup, {"CPU": 1}, False, trials),
                "documented: TorchTrainer, one worker": measure(documented, setup, {"CPU": 0.001}, False, trials),
            }
    base = found["documented: TorchTrainer, one worker"]
    print(f"{'seconds between two trials':40} {'seconds':>8} {'documented / it':>16}")
    for name, seconds in found.items():
        print(f"{name:40} {seconds:8.2f} {base / max(seconds, 1e-3):16.1f}")


if __name__ == "__main__":
    main()
