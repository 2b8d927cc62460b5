"""Seconds that a trial costs beyond its training: Ray's documented pattern, a plain function, and ours.

Run it on an idle machine: `make bench`, or `python tests/benchmarks/search.py [trials]`. The overhead of a pattern is
the mean time from the last epoch of a trial to the first epoch of the next in the same place, less that epoch's own
seconds. With a process per trial that is its start; with two places on a machine of two cores, they disturb each other.
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

from fer_tune.config import FIELDS, TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.ray_internals import trial_storage
from fer_tune.search.cluster.ray_session import ray_session
from fer_tune.training.loop import train
from fer_tune.training.ray_worker import TrialSetup, _fit_group, run_trial

CONFIG = {"backbone": "cnn_simpler", "epochs": 3, "batch_size": 35, "learning_rate": 1e-3}


class Clock(tune.Callback):
    """When each epoch was reported, and how long it took."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._reports: dict[tuple[int, str], list[tuple[float, float]]] = {}  # (process, trial) -> epochs

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        process = result["pid"] if self._places > 1 else 0  # two places are two processes, each used again
        epochs = self._reports.setdefault((process, trial.trial_id), [])
        epochs.append((time.perf_counter(), result["seconds"]))

    def overhead(self) -> float:
        """Mean seconds between two trials that follow each other in one place."""
        gaps = []
        for place in {process for process, _ in self._reports}:
            trials = sorted(epochs for (process, _), epochs in self._reports.items() if process == place)
            gaps += [after[0][0] - after[0][1] - before[-1][0] for before, after in pairwise(trials)]
        return sum(gaps) / len(gaps)


def documented(config: dict[str, Any], setup: TrialSetup) -> None:
    """`TorchTrainer.fit()` with one worker inside a Tune trial, as Ray's documentation has it."""
    settings = {name: config[name] for name in FIELDS if name in config}
    _fit_group({"config": settings, "setup": setup, "parts": 1, "place": trial_storage(), "extra": {}}, setup)


def plain(config: dict[str, Any], setup: TrialSetup) -> None:
    """The training loop in a function of Tune's, without Ray Train."""
    settings = TrialConfig(**{name: config[name] for name in FIELDS if name in config})
    with tempfile.TemporaryDirectory() as folder:
        train(settings, PreparedDataset.open(setup.dataset), Path(folder), on_epoch=lambda epoch, _: tune.report(epoch))


def measure(
    trainable: Any, setup: TrialSetup, resources: dict[str, float], reuse: bool, trials: int, at_once: int = 1
) -> float:
    clock = Clock(at_once)
    with tempfile.TemporaryDirectory() as storage:
        tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, setup=setup), resources),
            param_space={**CONFIG, "seed": tune.grid_search(list(range(trials)))},
            tune_config=tune.TuneConfig(max_concurrent_trials=at_once, reuse_actors=reuse),
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
            one = {"CPU": 1}
            found: dict[str, float] = {}
            for name, *of in (
                ("documented: TorchTrainer, one worker", documented, setup, {"CPU": 0.001}, False, trials),
                ("ours: local mode, process reused", run_trial, setup, one, True, 3 * trials),
                ("ours, two at once", run_trial, setup, one, True, 6 * trials, 2),
                ("ours, a process per trial", run_trial, setup, one, False, trials),
                ("plain function, process reused", plain, setup, one, True, 3 * trials),
                ("plain function, a process per trial", plain, setup, one, False, trials),
            ):
                found[name] = measure(*of)
                print(f"{name:40} {found[name]:8.2f}", flush=True)
    base = next(iter(found.values()))
    print(f"\n{'seconds between two trials':40} {'seconds':>8} {'documented / it':>16}")
    for name, seconds in found.items():
        print(f"{name:40} {seconds:8.2f} {base / max(seconds, 1e-3):16.1f}")


if __name__ == "__main__":
    main()
