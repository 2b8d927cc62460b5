"""Ray is started again where it was too slow, and what a failed start leaves is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
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


def died_of(words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return what a user is told where a daemon wrote ``words`` before Ray gave up."""
    monkeypatch.setattr(ray_start, "ray_folder", lambda: tmp_path)
    logs = tmp_path / f"session_2026-11-28_01-02-03_123456_{os.getpid()}" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.err").write_text(words, encoding="utf-8")
    starts = started(monkeypatch, TOO_SLOW, TOO_SLOW, TOO_SLOW)
    try:
        with pytest.raises(UserError) as raised:
            ray_start.start_ray()
    finally:
        starts.end()
    return f"{len(starts.options)}: {raised.value}"


def test_a_missing_module_is_no_busy_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = "[file_name] Agent process failed.\nModuleNotFoundError: No module named 'aiohttp'\n*** stack ***\nmain"
    told = died_of(words, monkeypatch, tmp_path)
    assert told.startswith("1: Ray did not start: ModuleNotFoundError: No module named 'aiohttp' (as ")
    assert "logs/raylet.err says). Install Ray with all that it needs: pip install 'ray[default,tune,train]'" in told


def test_a_full_disk_is_no_busy_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = died_of("[2026] E plasma.cc: write failed: No space left on device\n", monkeypatch, tmp_path)
    assert told.startswith("1: Ray did not start: No space left on device (as ")
    assert "pip install" not in told


def test_a_busy_machine_is_told_where_to_read_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = died_of("nothing that says why\n", monkeypatch, tmp_path)
    assert told.startswith("3: Ray did not start in 3 attempts: ")
    assert f"{tmp_path}/session_2026-11-28_01-02-03_123456_{os.getpid()}/logs/raylet.err" in told


def test_missing_packages_of_the_dashboard_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = started(monkeypatch, Exception("Cannot include dashboard with missing packages."))
    try:
        with pytest.raises(UserError, match=r"dashboard, which workers of one trial need.*pip install 'ray\["):
            ray_start.start_ray(dashboard=True)
    finally:
        starts.end()


def test_what_ray_starts_does_not_hear_a_terminal_that_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program itself does again, once Ray is there."""
    starts = started(monkeypatch, None)
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, frame: heard.append(number))
    try:
        ray_start.start_ray()
        starts.daemons[0].send_signal(signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            starts.daemons[0].wait(0.5)
    finally:
        signal.signal(signal.SIGHUP, before)
        starts.end()
    assert heard == [signal.SIGHUP]


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
    joined = SimpleNamespace(address_info={"address": "10.0.0.1:6379", "webui_url": url})
    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_session.ray, "init", lambda **options: joined)
    left: list[bool] = []
    monkeypatch.setattr(ray_session.ray, "shutdown", lambda: left.append(True))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setattr(ray_session, "check_answers", lambda address: None)
    if refused:
        with pytest.raises(UserError, match="--workers-per-trial"), ray_session.ray_session(dashboard=True):
            pytest.fail("it began")
    else:
        with ray_session.ray_session(dashboard=True):
            pass
    with ray_session.ray_session(dashboard=False):
        pass
    assert left == [True, True]
