"""What a trial costs the driver when there are very many: ours, and Ray's plain Tuner in the same run.

`python tests/benchmarks/scale.py [trials] [at once] [epochs] [nodes] [processes]`, 1,000, 64, 3, 1 and 8 by default.
Trials train nothing: they report invented epochs, on GPUs that exist for Ray alone, on one node or on several of one
machine.  What is left is the driver's own work (searcher, scheduler, tables, table on screen, Tune's snapshots) and
Ray's.  Then our search is stopped after half of its trials and resumed; the time until the first new result is that of
a restore.

Trials share ``processes`` processes (hosted.py); with 0 each has its own, as in a search.  On two cores 64
processes take longer to start than these trials take, so that the first ones do the trials that others were asked for,
and Tune ends those as they start (``TuneController._maybe_reuse_cached_actor``, Ray 2.60).
"""

from __future__ import annotations

import logging
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import ray
from drawing import tiny_dataset
from hosted import share_processes
from ray import tune
from ray.cluster_utils import Cluster
from ray.tune.result import RESULT_DUPLICATE
from ray.tune.schedulers import ASHAScheduler

import fer_tune.search.running.engine as engine
import fer_tune.search.running.tuner as tuners
from fer_tune.kinds import Sampler
from fer_tune.run_folder import METRICS, RECALLS
from fer_tune.search.options import SearchOptions

DEFAULTS = (1_000, 64, 3, 1, 8)
NO_MORE = tune.CheckpointConfig(checkpoint_at_end=False)  # which Tune asks of a class, but not of a function


class Invented(tune.Trainable):
    """Reports invented epochs that depend on the settings alone, then once more that it is done, as a function does."""

    def step(self) -> dict[str, Any]:
        epoch, epochs = self.iteration + 1, self.config["epochs"]
        if epoch > epochs:
            return {**self._last, RESULT_DUPLICATE: True, "done": True}
        top = 0.6 - 0.05 * (math.log10(self.config["learning_rate"]) + 2.5) ** 2
        accuracy = top * (1 - math.exp(-epoch))
        self._last = {
            **dict.fromkeys(METRICS, accuracy),
            **{name: [accuracy] for name in RECALLS},
            "parts": 1,
            "computed_in": "nothing",
            "epoch": epoch,
            "best_val_accuracy": accuracy,
            "best_epoch": epoch,
            "finished": epoch == epochs,
        }
        return dict(self._last)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Meter(tune.Callback):
    """Trials ended, and the driver's time and memory by then; stops the search after ``until`` of them."""

    def __init__(self, until: int | None = None) -> None:
        self.ended, self.results, self.first_result = 0, 0, 0.0
        self.samples: list[tuple[int, float]] = []  # trials ended, resident MiB
        self._until = until

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        self.results += 1
        self.first_result = self.first_result or time.perf_counter()

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self.ended += 1
        self.samples.append((self.ended, resident()))
        if self.ended == self._until:
            os.kill(os.getpid(), 2)

    def __getstate__(self) -> dict[str, Any]:
        return {"ended": 0, "results": 0, "first_result": 0.0, "samples": [], "_until": None}

    def growth(self) -> float:
        """MiB per 1,000 trials, between the first and the last quarter."""
        quarter = len(self.samples) // 4
        (low, before), (high, after) = self.samples[quarter], self.samples[-1]
        return 1_000 * (after - before) / (high - low)


def measured(label: str, meter: Meter, run: Callable[[], Any]) -> None:
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    told = f"{1_000 * cpu / meter.ended:14.1f} {1_000 * wall / meter.ended:12.1f} {meter.growth():16.1f}"
    print(f"{label:24} {told} {meter.results / meter.ended:16.1f}", flush=True)


def plain(folder: Path, trials: int, at_once: int, epochs: int, meter: Meter) -> None:
    """Ray's Tuner with random settings and ASHA, quiet, everything else as it comes."""
    tune.Tuner(
        tune.with_resources(Invented, {"CPU": 0, "GPU": 1}),
        param_space={"learning_rate": tune.loguniform(1e-4, 1e-1), "epochs": epochs},
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            scheduler=ASHAScheduler(max_t=epochs),
            num_samples=trials,
            max_concurrent_trials=at_once,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="plain", storage_path=str(folder), callbacks=[meter], checkpoint_config=NO_MORE, verbose=0
        ),
    ).fit()


def main() -> None:
    given = [int(value) for value in sys.argv[1:]]
    trials, at_once, epochs, nodes, processes = [*given, *DEFAULTS[len(given) :]]
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ |= {"RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0", "FER_TUNE_OUTPUT": "quiet"}
    tuners._trainable = lambda *_: tune.with_resources(Invented, {"CPU": 0, "GPU": 1})  # the rest is as users have it
    with started_ray(at_once, nodes), tempfile.TemporaryDirectory() as name:
        if processes:
            share_processes(processes)
        folder = Path(name)
        tiny_dataset(folder / "tiny")

        def options(run: str, sampler: Sampler = "gp") -> SearchOptions:
            return SearchOptions(
                data=folder / "tiny",
                backbones=["cnn_simpler"],
                trials=trials,
                epochs=epochs,
                name=run,
                storage=folder,
                cpus_per_trial=1,
                gpus_per_trial=1,
                concurrent=at_once,
                published=False,
                grace_period=1,
                sampler=sampler,
                wandb="disabled",
            )

        place = f"{nodes} node(s), {processes or at_once} processes"
        print(f"{trials} trials of {epochs} invented epochs, {at_once} at once, {place}; the driver per trial:")
        print(f"{'':24} {'CPU ms':>14} {'wall ms':>12} {'MiB per 1,000':>16} {'reports a trial':>16}", flush=True)
        meter = Meter()
        measured("Ray's plain Tuner", meter, lambda: plain(folder, trials, at_once, epochs, meter))
        tuner_of = engine.new_tuner
        samplers: dict[str, Sampler] = {"ours": "gp", "ours, TPE": "tpe", "ours, random settings": "random"}
        for label, sampler in samplers.items():
            meter = Meter()
            with_meter(tuner_of, meter)
            measured(label, meter, lambda sampler=sampler: engine.search(options(sampler, sampler)))
        with_meter(tuner_of, Meter(until=trials // 2))
        stopped = engine.search(options("stopped"))
        assert stopped.interrupted
        again = Meter()
        restored_of, began = tune.Tuner.restore, time.perf_counter()

        def restore(*args: Any, **kwargs: Any) -> tune.Tuner:
            tuner = restored_of(*args, **kwargs)
            tuner._local_tuner._run_config.callbacks.append(again)
            return tuner

        tune.Tuner.restore = restore  # type: ignore[method-assign]
        assert engine.resume(stopped.run.path).finished
    print(f"restored with {trials // 2} trials ended: {again.first_result - began:.1f} s to the first new result")


@contextmanager
def started_ray(at_once: int, nodes: int) -> Iterator[None]:
    """Run Ray with as many GPUs that are none, on one node or spread over several."""
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if nodes == 1:
        ray.init(num_cpus=at_once, num_gpus=at_once, **quiet)
        yield
        ray.shutdown()
        return
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False})
    for _ in range(nodes):
        cluster.add_node(num_cpus=at_once // nodes, num_gpus=at_once // nodes)
    ray.init(address=cluster.address, **quiet)
    cluster.wait_for_nodes()
    yield
    ray.shutdown()
    cluster.shutdown()


def with_meter(tuner_of: Callable[..., tune.Tuner], meter: Meter, checkpoints: tune.CheckpointConfig = NO_MORE) -> None:
    """Have the engine's tuner carry ``meter`` beside its own callbacks."""

    def tuner(*args: Any, **options: Any) -> tune.Tuner:
        made = tuner_of(*args, **options)
        made._local_tuner._run_config.callbacks.append(meter)
        made._local_tuner._run_config.checkpoint_config = checkpoints
        return made

    engine.new_tuner = tuner


if __name__ == "__main__":
    main()
