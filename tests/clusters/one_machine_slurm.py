"""A real Slurm of two nodes on this machine: its controller, its node daemons and munge, in a folder of their own."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "srun")
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL")

_CONFIG = """\
ClusterName=one-machine
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=10
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=2 RealMemory=8000 Gres=gpu:1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=2 RealMemory=8000 Gres=gpu:1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """How a user speaks to it: each method is one of Slurm's commands."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self.home = Path(environment["HOME"])

    def submit(self, script: Path, *arguments: str, **options: str) -> str:
        """Return the job's number; ``options`` are sbatch's, with underscores for hyphens."""
        named = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return self._say("sbatch", "--parsable", *named, str(script), *arguments).strip()

    def about(self, job: str) -> dict[str, str]:
        """Return what the controller knows of a job, such as its JobState, Restarts and ExitCode."""
        return dict(re.findall(r"(\S+?)=(\S*)", self._say("scontrol", "show", "job", job)))

    def wait(self, job: str, *states: str, seconds: float) -> dict[str, str]:
        """Wait until the job is in one of ``states``, or has ended otherwise, and return what is known of it."""
        deadline = time.monotonic() + seconds
        while (about := self.about(job))["JobState"] not in (*states, *OVER):
            assert time.monotonic() < deadline, f"{about['JobState']}, not {states}: {about.get('Reason')}"
            time.sleep(0.5)
        return about

    def warn(self, job: str) -> None:
        """Send TERM to the batch script alone, as Slurm does before the time limit (``--signal=B:TERM@180``)."""
        self._say("scancel", "--batch", "--signal=TERM", job)

    def requeue(self, job: str) -> None:
        """End the job on its nodes and queue it again, as a pre-emption does."""
        self._say("scontrol", "requeue", job)

    def _say(self, *command: str) -> str:
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextlib.contextmanager
def slurm_of_two_nodes(folder: Path, environment: dict[str, str]) -> Iterator[Slurm]:
    """Start it, for jobs that see ``environment``; at the end its daemons and what is left of its jobs are killed."""
    folder.chmod(0o755)
    (folder / "state").mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    (folder / "gres.conf").write_text("NodeName=n[1-2] Name=gpu Count=1 File=/dev/null\n", encoding="utf-8")
    port, first, second = _free_ports(3)
    host, user = socket.gethostname().split(".")[0], pwd.getpwuid(os.getuid()).pw_name
    config = _CONFIG.format(folder=folder, host=host, user=user, port=port, first=first, second=second)
    (folder / "slurm.conf").write_text(config, encoding="utf-8")
    environment = {**environment, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = ["--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={folder}/munge.key"]
    munge += [f"--pid-file={folder}/munge.pid", f"--seed-file={folder}/munge.seed", f"--log-file={folder}/munge.log"]
    with contextlib.ExitStack() as running:
        running.enter_context(_daemon(["munged", *munge], folder, environment))
        _until((folder / "munge.socket").exists)
        running.enter_context(_daemon(["slurmctld", "-D"], folder, environment))
        for node in ("n1", "n2"):
            running.enter_context(_daemon(["slurmd", "-D", "-N", node], folder, environment))
        ready = ["sinfo", "--noheader", "--Node", "--states=idle", "--format=%N"]
        _until(lambda: _lines(ready, environment) == ["n1", "n2"])
        yield Slurm(environment)
        for job in _lines(["squeue", "--noheader", "--format=%A"], environment):
            subprocess.run(["scancel", "--full", "--signal=KILL", job], env=environment, check=False)
        _until(lambda: not _lines(["squeue", "--noheader", "--format=%A"], environment))


@contextlib.contextmanager
def _daemon(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    program = shutil.which(command[0])
    assert program, command[0]
    with (folder / f"{'-'.join([command[0], command[-1]]).replace('/', '_')}.out").open("wb") as out:
        daemon = subprocess.Popen(
            [program, *command[1:]], env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _lines(command: list[str], environment: dict[str, str]) -> list[str]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else []


def _until(true: object, seconds: float = 60) -> None:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "Slurm did not come up"
        time.sleep(0.2)


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
