"""Fixtures for every test: a quiet, small, offline process; one local Ray for the tests that ask for it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from side_by_side import OneRay, SideBySide

_CACHE = tempfile.TemporaryDirectory(prefix="fer-tune-tests-")

# Before anything imports torch, Ray or wandb: they read these once. Ray's workers inherit them.
os.environ.update(
    {
        "OMP_NUM_THREADS": "1",  # torch takes its number of threads from it
        "MKL_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "RAY_AUTH_MODE": "disabled",  # else ray.init() writes a token into the home folder
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_worker_niceness": "0",  # Ray's default of 15 starves the workers on a busy machine
        "TUNE_FUNCTION_THREAD_TIMEOUT_S": "120",
        "MPLBACKEND": "Agg",
        "FER_TUNE_CACHE": _CACHE.name,  # datasets behind URIs, never in the developer's home
    }
)
# Inherited by whatever the tests start; that of the session, not of one of its parallel processes.
_SESSION = os.environ["FER_TUNE_TEST_SESSION"] if "PYTEST_XDIST_WORKER" in os.environ else str(os.getpid())
os.environ["FER_TUNE_TEST_SESSION"] = _SESSION
for name in ("RAY_ADDRESS", "WANDB_API_KEY", "WANDB_BASE_URL"):  # neither a cluster nor an account of the developer's
    os.environ.pop(name, None)


def pytest_configure(config: pytest.Config) -> None:
    import logging

    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("ray").setLevel(logging.ERROR)
    config.pluginmanager.register(OneRay())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SideBySide:
    return SideBySide(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if of_gpu := [item for item in items if item.get_closest_marker("gpu")]:
        import torch

        if not torch.cuda.is_available():
            for item in of_gpu:
                item.add_marker(pytest.mark.skip(reason="there is no GPU"))


@pytest.fixture(scope="session")
def ray_local(pytestconfig: pytest.Config) -> Iterator[None]:
    """A Ray of this process, with 2 CPUs and no dashboard; the search's code joins it.

    Shared by all tests: none may shut it down. At the end no process of it may be left.
    """
    import ray

    from fer_tune.search.cluster.ray_start import start_ray

    OneRay.started(pytestconfig)
    start_ray(num_cpus=2, object_store_memory=100 * 1024**2, labels={"kind": "tests"})
    started = _descendants()
    yield
    started |= _descendants()
    ray.shutdown()
    left = _alive_after(started, seconds=15)
    assert not left, f"Ray left processes behind: {left}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session that leaves a Ray or a fer-tune behind, also one that a test started as a program."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the session looks when all of its processes have ended
    left = _marked_processes()
    deadline = time.monotonic() + 15
    while left and time.monotonic() < deadline:
        time.sleep(0.2)
        left = _marked_processes()
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print("\nthe tests left processes running:", *left, sep="\n  ")


def _marked_processes() -> list[str]:
    """Return ``pid command`` of each Ray daemon and fer-tune that was started below this session."""
    mark = f"FER_TUNE_TEST_SESSION={_SESSION}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):  # nothing to read on systems without /proc
        try:
            if folder.name != str(os.getpid()) and mark in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                command = b" ".join(words).decode(errors="replace").strip()
                if any(name in command for name in ("raylet", "gcs_server", "ray::", "fer-tune")):
                    found.append(f"{folder.name} {command[:120]}")
        except OSError:  # it has just ended, or it is another user's
            continue
    return found


def _descendants() -> set[Any]:
    """Return every process below this one; two are equal where process id and start time are."""
    import psutil

    return set(psutil.Process().children(recursive=True))


def _alive_after(processes: set[Any], seconds: float) -> list[str]:
    """Return the command lines of the Ray ``processes`` that are still running after ``seconds``."""
    import psutil

    _, alive = psutil.wait_procs(processes, timeout=seconds)
    left = []
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            command = " ".join(process.cmdline())[:160]
            if "ray" in command.lower() and process.status() != psutil.STATUS_ZOMBIE:
                left.append(f"{process.pid} {command}")
    return left
