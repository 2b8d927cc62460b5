"""Seconds to read a run of 2,000 trials, and to write its report.

Run it on an idle machine: `make bench`, or `python tests/benchmarks/reading.py [trials]`. The limits that the project
sets itself are 5 s for reading and 60 s for the report.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_run import FakeRun

_READ = (
    "import sys, time; began = time.perf_counter(); from analysis import load_run; run = load_run(sys.argv[1]);"
    "run.trials, run.epochs, run.best_config, run.published, run.refits, run.tests;"
    "print(time.perf_counter() - began)"
)


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return what `work` returns, its seconds, and those that this process had a CPU."""
    began, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - began, time.process_time() - busy


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as folder:
        made = FakeRun(Path(folder) / "run", trials=trials // 2, epochs=30).write()
        # a process of its own, as a notebook's first cell is: the imports count
        done = subprocess.run([sys.executable, "-c", _READ, str(made.path)], capture_output=True, text=True, check=True)
        print(f"{'read a run of ' + format(trials, ',') + ' trials, imports included':50} {float(done.stdout):6.1f} s")

        from analysis import load_run
        from analysis.report.writing import what_mattered, write_report

        run = load_run(made.path)
        _, seconds, busy = timed(lambda: what_mattered(run))
        print(f"{'importances of two backbones, part of the report':50} {seconds:6.1f} s, {busy:.1f} s of it on a CPU")
        written, seconds, busy = timed(lambda: write_report(load_run(made.path)))
        name = f"report with {len(written.figures)} figure files"
        print(f"{name:50} {seconds:6.1f} s, {busy:.1f} s of it on a CPU")


if __name__ == "__main__":
    main()
