"""The batch script in a real Slurm: two nodes of this machine, a real Ray over them, a real search."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawing import tiny_dataset
from one_machine_slurm import NEEDED, Slurm, slurm_of_two_nodes

import clusters
from fer_tune.filing.tables import read_table

MISSING = [program for program in NEEDED if shutil.which(program) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"Slurm and munge are not installed: no {', '.join(MISSING)}"),
]

SIZE = {"nodes": "2", "cpus_per_task": "1", "chdir": str(clusters.path("slurm.sh").parents[1])}


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[Slurm]:
    folder = tmp_path_factory.mktemp("slurm")
    stands_in = folder / "bin"
    stands_in.mkdir()
    # the script asks each node for its address in the cluster's network; tests stay on the loopback one
    (stands_in / "hostname").write_text("#!/bin/sh\necho 127.0.0.1\n", encoding="utf-8")
    (stands_in / "hostname").chmod(0o755)
    (folder / "home").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "PATH": os.pathsep.join([str(stands_in), sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "HOME": str(folder / "home"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with slurm_of_two_nodes(folder, environment) as slurm:
        yield slurm


@pytest.fixture(scope="module")
def search(tmp_path_factory) -> list[str]:
    """Return the options of a search of four trials, which takes two CPUs some 20 seconds."""
    data = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(data, n_train=700, n_val=70, n_test=14)
    options = ["--data", str(data), "--backbone", "cnn_simpler", "--trials", "4", "--epochs", "40"]
    return [*options, "--scheduler", "none", "--no-published", "--wandb", "disabled"]


def logged(run: Path) -> str:
    return (run.parent / "job.log").read_text(encoding="utf-8")


def submit(slurm: Slurm, run: Path, options: list[str]) -> str:
    run.parent.mkdir()
    return slurm.submit(clusters.path("slurm.sh"), str(run), *options, output=f"{run.parent}/job.log", **SIZE)


def epochs_of(run: Path) -> int:
    file = run / "epochs.parquet"
    return read_table(file).num_rows if file.exists() else 0


def test_a_search_over_two_nodes_ends_the_job_with_0(slurm: Slurm, search: list[str], tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    job = submit(slurm, run, search)
    about = slurm.wait(job, seconds=400)
    assert (about["JobState"], about["ExitCode"], about["NumNodes"]) == ("COMPLETED", "0:0", "2"), logged(run)
    trials = read_table(run / "trials.parquet").to_pylist()
    assert [trial["status"] for trial in trials] == ["completed"] * 4
    assert len({trial["trial_id"] for trial in trials}) == 4
    tokens = list((slurm.home / ".ray").iterdir())
    assert not tokens, "the job's token outlives it"


def test_a_bad_option_ends_the_job_with_2_and_no_search(slurm: Slurm, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "bad"
    job = submit(slurm, run, ["--data", str(tmp_path / "nothing"), "--backbone", "cnn_simpler"])
    about = slurm.wait(job, seconds=300)
    assert (about["JobState"], about["ExitCode"]) == ("FAILED", "2:0"), logged(run)
    assert about["Restarts"] == "0"
    assert not run.exists()


@pytest.mark.parametrize("how", ["the warning before the time limit", "a pre-emption"])
def test_a_job_that_loses_its_nodes_goes_on_by_itself(slurm: Slurm, search, tmp_path: Path, how: str) -> None:
    run = tmp_path / "runs" / "again"
    job = submit(slurm, run, search)
    deadline = time.monotonic() + 300
    while epochs_of(run) < 20:
        assert slurm.about(job)["JobState"] in ("PENDING", "CONFIGURING", "RUNNING"), logged(run)
        assert time.monotonic() < deadline, logged(run)
        time.sleep(0.5)
    if how == "a pre-emption":
        slurm.requeue(job)
    else:
        slurm.warn(job)
    deadline = time.monotonic() + 120
    while slurm.about(job)["Restarts"] == "0":
        assert time.monotonic() < deadline, logged(run)
        time.sleep(0.5)
    kept = read_table(run / "epochs.parquet").to_pylist()
    about = slurm.wait(job, seconds=400)
    assert (about["JobState"], about["ExitCode"], about["Restarts"]) == ("COMPLETED", "0:0", "1"), logged(run)
    trials = read_table(run / "trials.parquet").to_pylist()
    assert [trial["status"] for trial in trials] == ["completed"] * 4
    assert [trial["epochs"] for trial in trials] == [40] * 4
    epochs = read_table(run / "epochs.parquet").to_pylist()
    assert len(epochs) == 160  # none twice, none left out
    before = {(row["trial_id"], row["epoch"]): row["train_loss"] for row in kept}
    after = {(row["trial_id"], row["epoch"]): row["train_loss"] for row in epochs}
    assert before.keys() <= after.keys()  # the trials that ran go on under their names
    if how != "a pre-emption":
        assert re.search(r"interrupted; the job goes into the queue again", logged(run))


def test_no_ray_outlives_a_job(slurm: Slurm) -> None:
    """The last of the module: what the jobs before it have started has gone."""
    deadline = time.monotonic() + 30
    while left := rays_of_jobs():
        assert time.monotonic() < deadline, left
        time.sleep(0.5)


def rays_of_jobs() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            of_a_job = b"SLURM_JOB_ID=" in (folder / "environ").read_bytes()
            if of_a_job and ("raylet" in command or "gcs_server" in command):
                found.append(command[:120])
        except OSError:  # it has just ended
            continue
    return found
