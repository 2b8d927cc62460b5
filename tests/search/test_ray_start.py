"""Ray is started in its small form, again where it was too slow, and what a failed start leaves is ended."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from fer_tune.errors import UserError
from fer_tune.search import ray_start

TOO_SLOW = Exception("The current node timed out during startup. This could happen because ...")


class Starts:
    """Stands in for ``ray.init``: each call leaves a daemon, and fails or not as it is told."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.options: list[dict[str, Any]] = []
        self.minimal: list[bool] = []
        self.daemons: list[subprocess.Popen[bytes]] = []

    def __call__(self, **options: Any) -> None:
        import ray._private.utils

        self.options.append(options)
        self.minimal.append(ray._private.utils.get_dashboard_dependency_error() is not None)
        self.daemons.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome

    def end(self) -> list[bool]:
        """Return which daemons were still running, and end them."""
        running = [daemon.poll() is None for daemon in self.daemons]
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()
        return running


def started(monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> Starts:
    starts = Starts(*outcomes)
    monkeypatch.setattr(ray_start.ray, "init", starts)
    return starts


def test_a_start_that_was_too_slow_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = started(monkeypatch, TOO_SLOW, TOO_SLOW, None)
    try:
        ray_start.start_ray(num_cpus=2)
    finally:
        running = starts.end()
    assert running == [False, False, True]
    assert [options["num_cpus"] for options in starts.options] == [2, 2, 2]


def test_it_gives_up_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = started(monkeypatch, TOO_SLOW, TOO_SLOW)
    try:
        with pytest.raises(UserError, match=r"2 attempts.*too busy"):
            ray_start.start_ray(attempts=2)
    finally:
        running = starts.end()
    assert running == [False, False]


def test_another_fault_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = started(monkeypatch, ValueError("no such option"))
    try:
        with pytest.raises(ValueError, match="no such option"):
            ray_start.start_ray()
    finally:
        starts.end()
    assert len(starts.options) == 1


@pytest.mark.parametrize("dashboard", [False, True])
def test_the_agent_is_minimal_without_a_dashboard(monkeypatch: pytest.MonkeyPatch, dashboard: bool) -> None:
    starts = started(monkeypatch, None)
    try:
        ray_start.start_ray(dashboard=dashboard)
    finally:
        starts.end()
    assert starts.minimal == [not dashboard]
    assert starts.options[0]["include_dashboard"] is dashboard


@pytest.mark.usefixtures("ray_local")
def test_work_runs_with_the_minimal_agent() -> None:
    """What the search needs of it: processes with variables of their own, resources, results."""
    import os

    import ray

    @ray.remote(num_cpus=1, runtime_env={"env_vars": {"TUNE_FUNCTION_THREAD_TIMEOUT_S": "121"}})
    def variable() -> str | None:
        return os.environ.get("TUNE_FUNCTION_THREAD_TIMEOUT_S")

    assert ray.get(variable.remote(), timeout=120) == "121"
    assert ray.cluster_resources()["CPU"] == 2
