"""A search as a job: `ray job submit` with the shipped runtime environment, to a head on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from drawing import tiny_dataset

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))

pytestmark = pytest.mark.slow


@dataclass
class Head:
    """A Ray head on loopback, and how to talk to it."""

    address: str
    environment: dict[str, str]

    def job(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run ``ray job ...`` from the project's folder."""
        verb, *rest = map(str, arguments)
        return subprocess.run(
            [SCRIPTS / "ray", "job", verb, "--address", self.address, *rest],
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def submit(self, *command: object, name: str, wait: bool = True) -> subprocess.CompletedProcess[str]:
        options = ["--submission-id", name, "--runtime-env", "clusters/runtime_env.yaml"]
        return self.job("submit", *options, *([] if wait else ["--no-wait"]), "--", *command)


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """Start a head with ports, token and folder of its own; end it, by its own process group, at the end."""
    folder = Path(tempfile.mkdtemp(prefix="ft", dir="/tmp"))  # short: a socket's path has 107 bytes at most
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",  # where the job finds `fer-tune`
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }
    try:
        for attempt in range(1, 4):  # a busy machine misses Ray's deadline of 15 s for its agent
            port, dashboard, client = free_ports(3)
            output = folder / f"head{attempt}.log"
            with output.open("w", encoding="utf-8") as log:
                process = subprocess.Popen(
                    [
                        *(SCRIPTS / "ray", "start", "--head", "--block", "--disable-usage-stats"),
                        *("--node-ip-address", "127.0.0.1", "--port", str(port)),
                        *("--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard)),
                        *("--ray-client-server-port", str(client), "--num-cpus", "2"),
                        *("--object-store-memory", str(100 * 1024**2), "--temp-dir", str(folder / "ray")),
                    ],
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            try:
                found = Head(f"http://127.0.0.1:{dashboard}", environment)
                if answers(found, process, output, seconds=150):
                    yield found
                    return
            finally:
                end(process)
        pytest.fail(output.read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def answers(head: Head, process: subprocess.Popen[bytes], output: Path, seconds: float) -> bool:
    """Wait until the head takes jobs; false where it ends, or not in time."""
    headers = {"Authorization": f"Bearer {head.environment['RAY_AUTH_TOKEN']}", "Content-Type": "application/json"}
    nothing = json.dumps({"entrypoint": "true"}).encode()  # a node that stands may still lack the agent that runs jobs
    request = urllib.request.Request(f"{head.address}/api/jobs/", data=nothing, headers=headers)
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.5)
        if "Ray runtime started" in output.read_text(encoding="utf-8"):  # the dashboard answers before the node stands
            with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(request, timeout=10):
                return True
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End the head with its daemons: `ray stop` would end every Ray of this user."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)  # `ray start --block` ends what it has started
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path)
    return path


def search(dataset: Path, storage: Path, **options: object) -> list[object]:
    values = {
        "trials": 2,
        "epochs": 2,
        "concurrent": 1,
        "cpus-per-trial": 1,
        "wandb": "disabled",
        "name": "run",
        **options,
    }
    flags = [part for name, value in values.items() for part in (f"--{name}", value)]
    return ["fer-tune", "search", "--data", dataset, "--backbone", "cnn_baseline", "--storage", storage, *flags]


def layout(run: Path) -> set[str]:
    """Return the relative paths of a run folder, where ids and times are written as ``*``."""
    found = set()
    for path in run.rglob("*"):
        parts = path.relative_to(run).parts
        found.add(
            "/".join(re.sub(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d|[0-9a-f]{8}|\d{6}|_\d+", "*", part) for part in parts)
        )
    return found


def test_a_job_leaves_the_run_folder_of_a_local_search(head: Head, dataset: Path, tmp_path: Path) -> None:
    job = head.submit(*search(dataset, tmp_path / "job"), name="search")
    assert job.returncode == 0, job.stdout + job.stderr
    assert "run folder:" in job.stdout

    environment = {name: value for name, value in head.environment.items() if "AUTH" not in name}
    local = subprocess.run(
        [str(part) for part in search(dataset, tmp_path / "local")],
        env={**environment, "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert local.returncode == 0, local.stdout + local.stderr

    runs = [tmp_path / "job" / "run", tmp_path / "local" / "run"]
    assert layout(runs[0]) == layout(runs[1])
    tables = [pq.read_table(run / "trials.parquet") for run in runs]
    assert tables[0].schema == tables[1].schema
    assert [table.num_rows for table in tables] == [2, 2]
    for name in ("config.learning_rate", "config.batch_size", "origin"):  # the same seed draws the same trials
        assert tables[0].column(name).to_pylist() == tables[1].column(name).to_pylist()
    settings = [yaml.safe_load((run / "search.yaml").read_text(encoding="utf-8")) for run in runs]
    for each in settings:
        del each["created"], each["hardware"]["memory_gib"]  # what Ray finds free when it starts
    assert settings[0] == settings[1]


def test_a_failed_search_fails_the_job(head: Head, dataset: Path, tmp_path: Path) -> None:
    job = head.submit(*search(tmp_path / "nowhere", tmp_path / "runs"), name="failing")
    assert job.returncode != 0
    assert "no such folder" in job.stdout + job.stderr
    assert "exit code 2" in job.stdout + job.stderr


def test_a_stopped_job_is_resumed(head: Head, dataset: Path, tmp_path: Path) -> None:
    """`ray job stop` acts as Ctrl-C: finished epochs are kept, and another job goes on with the run."""
    run = tmp_path / "runs" / "run"
    head.submit(*search(dataset, run.parent, trials=3, epochs=40), name="stopped", wait=False)
    deadline = time.monotonic() + 300
    while not (run / "epochs.parquet").exists():
        assert time.monotonic() < deadline, head.job("logs", "stopped").stdout
        time.sleep(1)
    stop = head.job("stop", "stopped")
    assert stop.returncode == 0, stop.stdout + stop.stderr
    assert "was stopped" in head.job("status", "stopped").stdout
    assert f"fer-tune resume {run}" in head.job("logs", "stopped").stdout
    resumed = head.submit("fer-tune", "resume", run, name="resumed")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert pq.read_table(run / "trials.parquet").num_rows == 3


def test_a_job_without_the_token_is_refused(head: Head, dataset: Path, tmp_path: Path) -> None:
    refused = head.job("submit", "--", "true", RAY_AUTH_MODE="disabled")
    assert refused.returncode != 0
    assert "token authentication is enabled" in (refused.stdout + refused.stderr).lower()
