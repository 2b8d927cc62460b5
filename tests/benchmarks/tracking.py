"""What W&B costs a search: offline, online, and with a server that is slow, silent or limits the rate of requests.

Run it on an idle machine: `make bench`, or `python tests/benchmarks/tracking.py [trials] [epochs]`. The server is a
stand-in on loopback that answers as W&B's does. Each search is made once with W&B in each state, all with as many
trials and epochs. Two things are told of each:

- what W&B takes from the trials: the seconds that the driver waits in a callback, and the CPU seconds of the driver's
  thread for W&B and of W&B's service process, as if all of them were taken from the trials' cores. The search would
  take at most that much less without W&B; the bound that the project sets itself is 1.02;
- the wait for uploads after the last trial, which FER_TUNE_WANDB_FINISH bounds (60 s by default).
"""

from __future__ import annotations

import functools
import logging
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tracking"))

import ray
from ray import tune
from wandb_server import Server, serving

import fer_tune.search.running.engine as engine
from fer_tune.data.synthetic.synthesize import synthesize
from fer_tune.search.options import SearchOptions
from fer_tune.tracking.session import Session
from fer_tune.tracking.wandb_callback import WandbCallback

SECONDS: defaultdict[str, float] = defaultdict(float)
_END = "on_experiment_end"
_STATES: dict[str, Callable[[Server], None]] = {
    "online": lambda server: None,
    "online, each answer takes 2 s": lambda server: setattr(server, "delay", 2.0),
    "online, one request in 2 s, else 429": lambda server: setattr(server, "rate", 0.5),
    "online, the server says nothing": lambda server: server.answering.clear(),
    "online, falls silent in mid-search": lambda server: None,
}


def timed(what: str, work: Callable[..., Any], clock: Callable[[], float] = time.perf_counter) -> Callable[..., Any]:
    @functools.wraps(work)
    def measured(*positional: Any, **named: Any) -> Any:
        began = clock()
        try:
            return work(*positional, **named)
        finally:
            SECONDS[what] += clock() - began

    return measured


def falls_silent(server: Server, after: int) -> Callable[..., Any]:
    """Return the callback for a result that silences the server once ``after`` of them have come."""
    told, results = WandbCallback.on_trial_result, 0

    def on_trial_result(self: WandbCallback, *positional: Any, **named: Any) -> None:
        nonlocal results
        results += 1
        if results == after:
            server.answering.clear()
        told(self, *positional, **named)

    return on_trial_result


def main() -> None:
    trials, epochs = (int(value) for value in (sys.argv[1:] + ["12", "8"][len(sys.argv) - 1 :])[:2])
    os.environ |= {"FER_TUNE_OUTPUT": "quiet", "WANDB_SILENT": "true", "WANDB_API_KEY": "0123456789abcdef" * 3}
    cores = len(os.sched_getaffinity(0))
    for name in vars(tune.Callback):
        if (name.startswith("on_") or name == "setup") and name in vars(WandbCallback):
            setattr(WandbCallback, name, timed(name, getattr(WandbCallback, name)))
    Session._work = timed("thread", Session._work, time.thread_time)  # type: ignore[method-assign]
    fit = engine._fit
    engine._fit = timed("whole", fit)
    ray.init(num_cpus=cores, log_to_driver=False, logging_level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder) / "faces", size=2400, seed=0)

        def searched(name: str, wandb: str) -> None:
            SECONDS.clear()
            before = _children()
            asked = SearchOptions(
                data=Path(folder) / "faces",
                backbones=["cnn_simpler"],
                trials=trials,
                epochs=epochs,
                name=name.replace(" ", "_").replace(",", ""),
                storage=Path(folder),
                scheduler="none",
                wandb=wandb,  # type: ignore[arg-type]
            )
            assert engine.search(asked).finished
            at_end = SECONDS[_END]
            training = SECONDS["whole"] - at_end
            waited = sum(SECONDS[what] for what in list(SECONDS) if what.startswith(("on_", "setup"))) - SECONDS[_END]
            cpu = SECONDS["thread"] + _children() - before
            most = training / (training - waited - cpu / cores)
            line = f"{training:9.1f} {waited:12.3f} {cpu:10.2f} {most:10.3f} {at_end:10.1f}"
            print(f"{name:38} {line}", flush=True)

        print(f"{trials} trials of {epochs} epochs, {cores} side by side; seconds")
        print(f"{'':38} {'training':>9} {'driver waits':>12} {'W&B, CPU':>10} {'at most':>10} {'at the end':>10}")
        searched("without W&B, processes still to start", "disabled")
        searched("without W&B", "disabled")
        searched("offline", "offline")
        for state, put in _STATES.items():
            with serving() as server:
                os.environ["WANDB_BASE_URL"] = server.address
                put(server)
                on_trial_result = WandbCallback.on_trial_result
                if "mid-search" in state:
                    WandbCallback.on_trial_result = falls_silent(server, trials * epochs // 2)  # type: ignore[method-assign]
                searched(state, "online")
                WandbCallback.on_trial_result = on_trial_result  # type: ignore[method-assign]
                server.answering.set()
                rows = sum(len(history) for history in server.history.values())
                print(f"{'':38} {rows} rows arrived, {server.refused} requests refused")
    print("bounds: 1.02 at most; at the end FER_TUNE_WANDB_FINISH, 60 s")


def _children() -> float:
    """CPU seconds of the processes that this one started and that have ended: of W&B's service, after its end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
