"""Trials of several workers that ASHA stops give everything back: no placement group, process or resource is kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from drawing import tiny_dataset
from programs import started

WAVES = 3
_PROGRAM = """
import json, sys, time
from pathlib import Path
import ray  # brings psutil
import psutil
from ray.util import placement_group_table
from fer_tune.search.running.engine import search
from fer_tune.ray_internals import know_own_address
from fer_tune.search.options import SearchOptions
import pyarrow.parquet as pq

folder, waves = Path(sys.argv[1]), int(sys.argv[2])
# As `ray_session` starts it: there may be another Ray on the machine, and the tests' own often is.
hook = {"worker_process_setup_hook": know_own_address}
ray.init(num_cpus=4, include_dashboard=True, log_to_driver=False, runtime_env=hook)


def left():
    groups = [each["state"] for each in placement_group_table().values()]
    working = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if title.startswith("ray::") and any(word in title for word in ("Train", "run_trial", "Controller")):
            working.append(title)
    return {
        "groups": [state for state in groups if state != "REMOVED"],
        "cpus": ray.available_resources().get("CPU", 0.0),
        "processes": working,
    }


found = []
for wave in range(waves):
    run = search(
        SearchOptions(
            data=folder / "data",
            backbones=["cnn_simpler"],
            trials=4,
            epochs=3,
            grace_period=1,
            reduction_factor=4,
            workers_per_trial=2,
            cpus_per_trial=1,
            concurrent=2,
            published=False,
            sampler="random",
            seed=wave,
            storage=folder,
            name=f"wave{wave}",
            wandb="disabled",
        )
    ).run
    deadline = time.monotonic() + 30
    while (now := left()) != {"groups": [], "cpus": 4.0, "processes": []} and time.monotonic() < deadline:
        time.sleep(0.5)
    states = pq.read_table(run.trials_file).to_pylist()
    used = sum(each["state"] == "REMOVED" for each in placement_group_table().values())
    found.append(now | {"states": [row["status"] for row in states], "used": used})
(folder / "found.json").write_text(json.dumps(found))
"""


@pytest.mark.slow
def test_three_waves_of_stopped_trials_of_two_workers_leave_nothing(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data")
    program = [sys.executable, "-c", _PROGRAM, tmp_path, WAVES]
    with started(program, tmp_path / "log") as process:
        code = process.wait(900)
    assert code == 0, (tmp_path / "log").read_text()
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found) == WAVES
    for wave in found:
        assert set(wave["states"]) <= {"completed", "stopped"}
        assert "stopped" in wave["states"]
        assert (wave["groups"], wave["cpus"], wave["processes"]) == ([], 4.0, [])
    assert [wave["used"] for wave in found] == sorted(wave["used"] for wave in found)
    assert found[-1]["used"] >= 4 * WAVES  # a worker group each: there was something to give back
