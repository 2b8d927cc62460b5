"""What a search asks of an object store, and what it waits for: ours, and Ray's plain Tuner in the same run.

`python tests/benchmarks/storage.py [trials] [at once] [epochs] [latency, ms]`, 120, 32, 4 and 30 by default; with a
latency of 0 the store has no second part.

First the requests of a small real search are counted at a server that speaks S3.  Then very many trials that train
nothing report invented epochs, each with a checkpoint as large as that of a small network, into a local folder and into
the store, which lets every answer wait as a store far away does.  Told for each report: the driver's CPU, and how long
its one loop stands still for old checkpoints that are removed and for Tune's snapshots.  Trials share processes
(hosted.py).
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import ray
import ray.train._internal.checkpoint_manager as ray_checkpoints
from counted_store import CountedStore, counted_store
from drawing import tiny_dataset
from hosted import share_processes
from pyarrow import fs
from ray import tune
from ray.tune.execution.experiment_state import _ExperimentCheckpointManager
from ray.tune.result import SHOULD_CHECKPOINT
from scale import Invented, Meter, with_meter

import fer_tune.search.running.engine as engine
import fer_tune.search.running.tuner as tuners
from fer_tune.search.options import SearchOptions
from fer_tune.training.keeping import checkpoint

DEFAULTS = (120, 32, 4, 30)
SIZES = {"best.safetensors": 200_000, "epoch_0001.safetensors": 200_000, "state.pt": 400_000}  # bytes
KEEPING = tune.CheckpointConfig(num_to_keep=checkpoint.KEPT, checkpoint_at_end=False)
WAITED: defaultdict[str, float] = defaultdict(float)  # seconds of the driver's loop


class Checkpointed(Invented):
    """Has Tune take a checkpoint of every epoch."""

    def step(self) -> dict[str, Any]:
        result = super().step()
        return result if result.get("done") else {**result, SHOULD_CHECKPOINT: True}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        for name, size in SIZES.items():
            (Path(checkpoint_dir) / name).write_bytes(os.urandom(size))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing is kept."""


def timed(what: str, work: Callable[..., Any]) -> Callable[..., Any]:
    def measured(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            WAITED[what] += time.perf_counter() - began

    return measured


def requests(store: CountedStore, folder: Path) -> None:
    """Count those of a small search that trains."""
    store.counts()
    trials, epochs = 4, 8
    began = time.perf_counter()
    search(folder, "s3://runs", "real", trials, epochs, concurrent=2)
    seconds = time.perf_counter() - began
    print(f"{trials} trials of {epochs} epochs that train, 2 at once, {seconds:.0f} s; requests for each checkpoint:")
    whole = 0.0
    for part, method, number, sent in sorted(store.counts()):
        whole += number
        print(f"  {part:28} {method:7} {number / trials / epochs:6.2f} {sent / trials / epochs / 1e6:8.2f} MB")
    print(f"  {'all':36} {whole / trials / epochs:6.2f}", flush=True)


def search(folder: Path, storage: str | Path, name: str, trials: int, epochs: int, concurrent: int) -> None:
    options = SearchOptions(
        data=folder / "tiny",
        backbones=["cnn_simpler"],
        trials=trials,
        epochs=epochs,
        name=name,
        storage=storage,
        cpus_per_trial=1,
        concurrent=concurrent,
        published=False,
        scheduler="none",
        sampler="random",
        wandb="disabled",
    )
    assert engine.search(options).finished


def plain(storage: str | Path, name: str, trials: int, epochs: int, concurrent: int, meter: Meter) -> None:
    """Ray's Tuner with the filesystem that it takes by itself."""
    tune.Tuner(
        tune.with_resources(Checkpointed, {"CPU": 1}),
        param_space={"learning_rate": tune.loguniform(1e-4, 1e-1), "epochs": epochs},
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=name, storage_path=str(storage), callbacks=[meter], checkpoint_config=KEEPING, verbose=0
        ),
    ).fit()


def told(label: str, meter: Meter, run: Callable[[], Any]) -> None:
    WAITED.clear()
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    each = [1_000 * seconds / meter.results for seconds in (cpu, WAITED["removing"], WAITED["snapshots"], wall)]
    print(f"{label:40}" + "".join(f"{value:16.1f}" for value in each), flush=True)


def compared(store: CountedStore, folder: Path, trials: int, at_once: int, epochs: int, latency: int) -> None:
    """Let many trials report to a local folder and, with a latency, to the store, near and far away."""
    tuners._trainable = lambda *_: tune.with_resources(Checkpointed, {"CPU": 1})
    ray_checkpoints._delete_fs_path = timed("removing", ray_checkpoints._delete_fs_path)
    snapshots = timed("snapshots", _ExperimentCheckpointManager.sync_up_experiment_state)
    _ExperimentCheckpointManager.sync_up_experiment_state = snapshots  # type: ignore[method-assign]
    tuner_of = engine.new_tuner
    print(f"\n{trials} trials of {epochs} invented epochs, {at_once} at once; ms of the driver for each report:")
    print(f"{'':40}{'CPU':>16}{'removing':>16}{'snapshots':>16}{'wall':>16}", flush=True)
    places: list[tuple[str, str | Path, int]] = [("local", folder, 0)]
    if latency:
        places += [("s3", "s3://runs", 0), (f"s3, answers after {latency} ms", "s3://runs", latency)]
    for number, (place, storage, wait) in enumerate(places):
        store.answer_after(wait / 1_000)
        meter = Meter()
        work = functools.partial(plain, storage, f"plain{number}", trials, epochs, at_once, meter)
        told(f"Ray's plain Tuner, {place}", meter, work)
        meter = Meter()
        with_meter(tuner_of, meter, KEEPING)
        work = functools.partial(search, folder, storage, f"ours{number}", trials, epochs, at_once)
        told(f"ours, {place}", meter, work)


def main() -> None:
    given = [int(value) for value in sys.argv[1:]]
    trials, at_once, epochs, latency = [*given, *DEFAULTS[len(given) :]]
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ |= {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "FER_TUNE_OUTPUT": "quiet",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    }
    with tempfile.TemporaryDirectory() as name, counted_store() as store:
        folder = Path(name)
        os.environ |= store.environment | {"FER_TUNE_CACHE": str(folder / "cache")}
        fs.FileSystem.from_uri("s3://runs/?allow_bucket_creation=true")[0].create_dir("runs")
        tiny_dataset(folder / "tiny")
        ray.init(num_cpus=at_once, log_to_driver=False, logging_level=logging.ERROR)
        requests(store, folder)
        share_processes(4, threads=16)
        compared(store, folder, trials, at_once, epochs, latency)
        ray.shutdown()


if __name__ == "__main__":
    main()
