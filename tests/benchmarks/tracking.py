"""What W&B costs a search: the seconds that the driver spends in it, and the search's time with and without them.

Run it on an idle machine: `make bench`, or `python tests/benchmarks/tracking.py [trials] [epochs]`. W&B is offline.
Trials go on training while the driver records, so what is told is a bound: the search that does not record saves at
most these seconds. The bound that the project sets itself is 1.02.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune

import fer_tune.search.engine as engine
from fer_tune.data.synthesize import synthesize
from fer_tune.search.options import SearchOptions
from fer_tune.tracking.wandb_callback import WandbCallback

SECONDS: Counter[str] = Counter()
CALLS: Counter[str] = Counter()


def timed(what: str, work: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(work)
    def measured(*positional: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return work(*positional, **named)
        finally:
            SECONDS[what] += time.perf_counter() - began
            CALLS[what] += 1

    return measured


def main() -> None:
    trials, epochs = (int(value) for value in (sys.argv[1:] + ["12", "8"][len(sys.argv) - 1 :])[:2])
    os.environ |= {"FER_TUNE_OUTPUT": "quiet", "WANDB_SILENT": "true"}
    for name in vars(tune.Callback):
        if (name.startswith("on_") or name == "setup") and name in vars(WandbCallback):
            setattr(WandbCallback, name, timed(name, getattr(WandbCallback, name)))
    engine.record_search = timed("the run of the search as a whole", engine.record_search)
    fit, whole = engine._fit, 0.0

    def fitted(*positional: Any) -> engine.Ended:
        nonlocal whole
        began = time.perf_counter()
        try:
            return fit(*positional)
        finally:
            whole = time.perf_counter() - began

    engine._fit = fitted
    with tempfile.TemporaryDirectory() as folder:
        synthesize(Path(folder) / "faces", size=2400, seed=0)
        asked = SearchOptions(
            data=Path(folder) / "faces",
            backbones=["cnn_simpler"],
            trials=trials,
            epochs=epochs,
            name="tracked",
            storage=Path(folder),
            wandb="offline",
        )
        assert engine.search(asked).finished
    spent = SECONDS.total()
    print(f"{'in W&B':40} {'calls':>6} {'ms a call':>10} {'seconds':>8}")
    for name, seconds in SECONDS.most_common():
        print(f"{name:40} {CALLS[name]:6} {1e3 * seconds / CALLS[name]:10.1f} {seconds:8.2f}")
    print(f"{trials} trials of at most {epochs} epochs: {whole:.1f} s, {spent:.2f} s of them in W&B")
    print(f"with W&B / without, at most: {whole / (whole - spent):.3f}   (to be at most 1.02)")


if __name__ == "__main__":
    main()
