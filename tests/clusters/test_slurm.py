"""The batch script of Slurm, run with stand-ins for Slurm's commands, Ray's and fer-tune's.

The stand-ins write down how they were called. test_real_slurm.py runs it in a real Slurm.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from shipped import check_fer_tune, check_ray_start, checker, commands_in, header, secrets_in, text

import clusters

SCRIPT = clusters.path("slurm.sh")
JOB = "4711"

# Slurm's srun passes a signal on to the tasks of its step; here there is one task, which takes its place.
STANDS_IN = {
    "scontrol": 'echo "scontrol $*" >> "$CALLS"\nif [ "$1" = show ]; then printf "node1\\nnode2\\n"; fi\n',
    "srun": 'echo "srun $*" >> "$CALLS"\nwhile [ "${1#-}" != "$1" ]; do shift; done\nexec "$@"\n',
    "hostname": "echo '10.9.8.7 172.17.0.1'\n",
    # `python -m clusters.wait_for --nodes N` returns when the nodes are there
    "python": (
        'echo "python $*" >> "$CALLS"\n'
        '[ "${WAIT_CODE:-0}" = 0 ] || exit "$WAIT_CODE"\n'
        'until [ "$(grep -c "^ray start" "$CALLS")" -ge "$4" ]; do sleep 0.05; done\n'
    ),
    # `ray start --block` stays until it is told to go
    "ray": (
        'echo "ray $* | mode=$RAY_AUTH_MODE token=$(cat "$RAY_AUTH_TOKEN_PATH")" >> "$CALLS"\n'
        'if [ "$1" = start ]; then trap "exit 0" TERM; while :; do sleep 0.05; done; fi\n'
        '[ "$1" = health-check ] || exit 0\n'
        '[ "${HEALTH_CODE:-0}" = 0 ] || exit "$HEALTH_CODE"\n'
        'until grep -q "^ray start" "$CALLS"; do sleep 0.05; done\n'  # a head is healthy once it was started
    ),
    # A search makes its run folder; SLOW lets it wait for the signal and end as an interrupted one does.
    "fer-tune": (
        'echo "fer-tune $* | address=$RAY_ADDRESS" >> "$CALLS"\n'
        'if [ "$1" = search ]; then mkdir -p "$RUN"; touch "$RUN/search.yaml"; fi\n'
        'if [ -n "${SLOW:-}" ]; then\n'
        '    trap "sleep 0.3; echo saved >> \\"$CALLS\\"; exit ${ENDS:-130}" TERM\n'
        "    while :; do sleep 0.05; done\n"
        "fi\n"
        'exit "${CODE:-0}"\n'
    ),
}


class Slurm:
    """A job of the script in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.run, self.calls, self._bin = folder / "runs" / "first", folder / "calls", folder / "bin"
        self._bin.mkdir()
        self.home = folder / "home"
        self.home.mkdir()
        for name, body in STANDS_IN.items():
            (self._bin / name).write_text(f"#!/usr/bin/env bash\n{body}", encoding="utf-8")
            (self._bin / name).chmod(0o755)

    def start(self, *arguments: str, nodes: int = 2, **environment: str) -> subprocess.Popen[str]:
        self.calls.unlink(missing_ok=True)
        return subprocess.Popen(
            ["bash", str(SCRIPT), *arguments],
            env={
                "PATH": f"{self._bin}:{os.environ['PATH']}",
                "HOME": str(self.home),
                "CALLS": str(self.calls),
                "RUN": str(self.run),
                "SLURM_JOB_ID": JOB,
                "SLURM_JOB_NODELIST": "node[1-2]",
                "SLURM_JOB_NUM_NODES": str(nodes),
                "SLURM_CPUS_PER_TASK": "8",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, *arguments: str, nodes: int = 2, **environment: str) -> tuple[int, str]:
        job = self.start(*arguments, nodes=nodes, **environment)
        shown, _ = job.communicate(timeout=60)
        return job.returncode, shown

    def called(self, start: str) -> list[str]:
        lines = self.calls.read_text(encoding="utf-8").splitlines() if self.calls.exists() else []
        return [line for line in lines if line.startswith(start)]

    def wait_for(self, start: str) -> None:
        deadline = time.monotonic() + 60
        while not self.called(start):
            assert time.monotonic() < deadline, self.calls.read_text(encoding="utf-8")
            time.sleep(0.05)


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


def test_a_search_over_the_nodes_of_the_job(slurm: Slurm) -> None:
    code, shown = slurm.finish(str(slurm.run), "--data", "/shared/with space", "--trials", "5")
    assert code == 0, shown
    head, worker = (check_ray_start(call.split(" | ")[0]) for call in slurm.called("ray start"))
    assert (head["head"], head["node_ip_address"], head["port"]) == (True, "10.9.8.7", 24711)
    assert head["dashboard_host"] == "10.9.8.7"  # not 127.0.0.1, nor every address of the node
    assert head["temp_dir"] == f"/tmp/ray-{JOB}"
    assert worker["address"] == "10.9.8.7:24711"
    assert all(each["block"] and each["num_cpus"] == 8 for each in (head, worker))
    assert slurm.called("python") == ["python -m clusters.wait_for --nodes 2 --timeout 300"]
    assert slurm.called("fer-tune") == [
        f"fer-tune search --storage {slurm.run.parent} --name first --data /shared/with space --trials 5"
        " | address=10.9.8.7:24711"
    ]
    assert not slurm.called("scontrol requeue")


def test_every_ray_has_the_job_s_own_token_which_goes_with_it(slurm: Slurm) -> None:
    slurm.finish(str(slurm.run))
    calls = slurm.called("ray ")
    tokens = {re.search(r"mode=token token=([0-9a-f]{64})$", call) for call in calls}
    assert len(calls) >= 3
    assert None not in tokens
    assert len({match[1] for match in tokens if match}) == 1
    assert not list((slurm.home / ".ray").iterdir())
    first = next(match[1] for match in tokens if match)
    slurm.finish(str(slurm.run))
    assert first not in slurm.called("ray ")[0]


def test_one_node_needs_no_workers(slurm: Slurm) -> None:
    assert slurm.finish(str(slurm.run), nodes=1)[0] == 0
    assert len(slurm.called("ray start")) == 1


def test_a_job_that_comes_back_resumes(slurm: Slurm) -> None:
    for _ in range(2):
        assert slurm.finish(str(slurm.run), "--data", "d")[0] == 0
    assert slurm.called("fer-tune") == [f"fer-tune resume {slurm.run} | address=10.9.8.7:24711"]


def test_the_signal_before_the_limit_saves_and_queues_again(slurm: Slurm) -> None:
    job = slurm.start(str(slurm.run), SLOW="yes")
    slurm.wait_for("fer-tune search")
    time.sleep(0.2)  # until it listens
    job.send_signal(signal.SIGTERM)
    shown, _ = job.communicate(timeout=60)
    assert job.returncode == 130, shown
    assert slurm.called("saved")
    assert slurm.called("scontrol requeue") == [f"scontrol requeue {JOB}"]
    lines = slurm.calls.read_text(encoding="utf-8").splitlines()
    assert lines.index("saved") < lines.index(f"scontrol requeue {JOB}")
    assert not list((slurm.home / ".ray").iterdir())


def test_a_search_that_ends_at_the_signal_is_not_queued_again(slurm: Slurm) -> None:
    job = slurm.start(str(slurm.run), SLOW="yes", ENDS="0")
    slurm.wait_for("fer-tune search")
    time.sleep(0.2)
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=60)
    assert job.returncode == 0
    assert not slurm.called("scontrol requeue")


@pytest.mark.parametrize(
    ("environment", "code", "searched"), [({"CODE": "2"}, 2, True), ({"WAIT_CODE": "1"}, 1, False)]
)
def test_a_failure_is_the_job_s_and_is_not_tried_again(slurm: Slurm, environment, code, searched) -> None:
    assert slurm.finish(str(slurm.run), **environment)[0] == code
    assert bool(slurm.called("fer-tune")) == searched
    assert not slurm.called("scontrol requeue")


def test_no_ray_is_left_behind(slurm: Slurm) -> None:
    slurm.finish(str(slurm.run))
    left = subprocess.run(["pgrep", "-f", str(slurm._bin)], capture_output=True, text=True, check=False).stdout
    assert left == ""


@pytest.mark.parametrize("arguments", [(), ("runs/first",)])
def test_the_run_folder_is_named_in_full(slurm: Slurm, arguments: tuple[str, ...]) -> None:
    code, shown = slurm.finish(*arguments)
    assert code == 2
    assert "usage: " in shown or "absolute path" in shown
    assert not slurm.calls.exists()


def test_what_slurm_is_asked() -> None:
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text("slurm.sh"), flags=re.MULTILINE))
    assert asked["signal"] == "B:TERM@180"  # to this script alone, in time to save
    assert "requeue" in asked
    assert asked["open-mode"] == "append"  # else a requeued job loses its log
    assert asked["ntasks-per-node"] == "1"  # one Ray per node
    assert SCRIPT.stat().st_mode & 0o111


def test_it_opens_with_its_commands() -> None:
    commands = commands_in(header("slurm.sh"))
    [batch] = [command for command in commands if command.startswith("sbatch")]
    options = batch.split("/shared/runs/first", 1)[1]
    assert check_fer_tune(f"fer-tune search {options}")
    assert not secrets_in(text("slurm.sh"))


def test_bash_reads_it() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_shellcheck_has_nothing_to_say() -> None:
    done = subprocess.run([checker("shellcheck"), str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
