"""Ray is started again where it was too slow, and what a failed start leaves is ended."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from fer_tune.errors import UserError
from fer_tune.search.cluster import ray_session, ray_start

TOO_SLOW = Exception("The current node timed out during startup. This could happen because ...")


class Starts:
    """Stands in for ``ray.init``: each call leaves a daemon, and fails or not as it is told."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.options: list[dict[str, Any]] = []
        self.daemons: list[subprocess.Popen[bytes]] = []

    def __call__(self, **options: Any) -> None:
        self.options.append(options)
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
def test_the_dashboard_is_started_when_asked_for(monkeypatch: pytest.MonkeyPatch, dashboard: bool) -> None:
    starts = started(monkeypatch, None)
    try:
        ray_start.start_ray(dashboard=dashboard)
    finally:
        starts.end()
    assert starts.options[0]["include_dashboard"] is dashboard


@pytest.mark.parametrize(("url", "refused"), [("", True), ("127.0.0.1:8265", False)])
def test_a_joined_ray_without_a_dashboard_is_refused_for_worker_groups(
    monkeypatch: pytest.MonkeyPatch, url: str, refused: bool
) -> None:
    joined = SimpleNamespace(address_info={"webui_url": url})
    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_session.ray, "init", lambda **options: joined)
    left: list[bool] = []
    monkeypatch.setattr(ray_session.ray, "shutdown", lambda: left.append(True))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    if refused:
        with pytest.raises(UserError, match="--workers-per-trial"), ray_session.ray_session(dashboard=True):
            pytest.fail("it began")
    else:
        with ray_session.ray_session(dashboard=True):
            pass
    with ray_session.ray_session(dashboard=False):
        pass
    assert left == [True, True]
