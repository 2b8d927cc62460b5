"""Ray Tune on a store that goes away in the middle: trials wait, none fails, nothing is tried again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, tempfile, threading, time
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from conftest import Store

store = Store()
import os
os.environ.update(store.environment)
from pyarrow import fs
fs.FileSystem.from_uri("s3://runs/?allow_bucket_creation=true")[0].create_dir("runs")

from ray import tune
from fer_tune.run_folder import RunFolder
from fer_tune.search.cluster.ray_session import ray_session
from fer_tune.storage.runs import new_run, tune_storage

def trial(config):
    import tempfile, time
    from pathlib import Path
    from ray import tune
    start = 0
    saved = tune.get_checkpoint()
    if saved is not None:
        with saved.as_directory() as folder:
            start = int((Path(folder) / "state").read_text())
    for epoch in range(start + 1, 16):
        time.sleep(0.3)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "state").write_text(str(epoch))
            tune.report({"epoch": epoch, "began": start}, checkpoint=tune.Checkpoint.from_directory(folder))

run = new_run("s3://runs/here", "r")
with ray_session():
    def outage():
        own = fs.FileSystem.from_uri("s3://runs")[0]
        everything = fs.FileSelector("runs/here/r/tune", recursive=True, allow_not_found=True)

        def checkpoints():
            return [info for info in own.get_file_info(everything) if "checkpoint_" in info.path]

        # that one or a later: only the last two are kept
        while not any(info.path.rpartition("checkpoint_")[2][:6] >= "000003" for info in checkpoints()):
            time.sleep(0.2)
        store.stop()
        # The driver itself may have no reason to ask just now, and what trials print is in Ray's logs alone.
        ours = tune_storage(run)["storage_filesystem"]
        threading.Thread(target=ours.get_file_info, args=["runs/here/r/tune"], daemon=True).start()
        time.sleep(8)
        store.start()
        print("back")

    threading.Thread(target=outage, daemon=True).start()
    results = tune.Tuner(
        tune.with_resources(trial, {"CPU": 0.5}),
        tune_config=tune.TuneConfig(num_samples=2),
        run_config=tune.RunConfig(
            name="tune", **tune_storage(run), verbose=0,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
        ),
    ).fit()
    print("errors", results.num_errors)
    for result in results:
        print("ended", result.metrics["epoch"], result.metrics["began"], result.metrics["training_iteration"])
    assert tune.Tuner.can_restore("runs/here/r/tune", tune_storage(run)["storage_filesystem"])
store.stop()
"""


@pytest.mark.slow
def test_trials_wait_for_a_store_that_is_away(tmp_path):
    environment = {**os.environ, "FER_TUNE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=900,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "back\nerrors 0" in done.stdout
    assert done.stdout.count("ended 15 0 15") == 2  # each from its first epoch to its last, none twice
    assert "s3://runs/here/r: cannot be reached" in done.stderr
    assert done.stderr.count("cannot be reached") == done.stderr.count("reached again after") == 1
    assert "Traceback" not in done.stdout + done.stderr
