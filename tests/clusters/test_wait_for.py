"""`python -m clusters.wait_for`: asks the autoscaler, waits, lets go, and gives way to the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray

from clusters import wait_for


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A cluster whose next look finds one GPU and one node more; what was asked of it and done."""
    seen: dict[str, Any] = {"gpus": 0, "nodes": 1, "grows": 1, "asked": [], "ran": None}

    def look() -> dict[str, float]:
        there = {"GPU": float(seen["gpus"])} if seen["gpus"] else {}
        seen["gpus"] += seen["grows"]
        seen["nodes"] += seen["grows"]
        return there

    def run(program: str, command: list[str]) -> None:
        assert program == command[0]
        assert seen["asked"][-1:] in ([], [[]])  # the request is withdrawn before
        seen["ran"] = command

    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "cluster_resources", look)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}] * seen["nodes"] + [{"Alive": False}])
    monkeypatch.setattr(wait_for, "request_resources", lambda bundles: seen["asked"].append(bundles))
    monkeypatch.setattr(wait_for.os, "execvp", run)
    monkeypatch.setattr(wait_for, "_EVERY", 0.001)
    return seen


def test_it_asks_waits_lets_go_and_runs(cluster: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert wait_for.main(["--gpus", "3", "--", "fer-tune", "search", "--data", "d"]) == 0
    assert cluster["asked"] == [[{"GPU": 1}] * 3, []]
    assert cluster["ran"] == ["fer-tune", "search", "--data", "d"]
    assert "3 GPUs (3 wanted)" in capsys.readouterr().out


def test_it_waits_for_nodes_without_asking(cluster: dict[str, Any]) -> None:
    assert wait_for.main(["--nodes", "4"]) == 0
    assert cluster["asked"] == []
    assert cluster["ran"] is None


def test_what_does_not_come_ends_it_and_is_let_go(cluster: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    cluster["grows"] = 0
    assert wait_for.main(["--gpus", "2", "--timeout", "0.01", "--", "fer-tune", "search"]) == 1
    assert cluster["asked"][-1] == []
    assert cluster["ran"] is None
    assert "`ray status`" in capsys.readouterr().err


def test_an_interrupt_lets_go(cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(wait_for.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wait_for.main(["--gpus", "2"])
    assert cluster["asked"][-1] == []


def test_a_run_that_is_there_is_resumed(cluster: dict[str, Any], tmp_path: Path) -> None:
    arguments = ["--or-resume", str(tmp_path), "--", "fer-tune", "search"]
    wait_for.main(arguments)
    assert cluster["ran"] == ["fer-tune", "search"]
    (tmp_path / "search.yaml").touch()
    wait_for.main(arguments)
    assert cluster["ran"] == ["fer-tune", "resume", str(tmp_path)]


@pytest.mark.parametrize("arguments", [["--gpus", "-1"], ["--nodes", "0"], ["--or-resume", "/shared/runs/first"]])
def test_nonsense_is_refused(cluster: dict[str, Any], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        wait_for.main(arguments)
    assert stop.value.code == 2
    assert cluster["asked"] == []
