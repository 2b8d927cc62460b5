"""`python -m clusters.wait_for`: asks the autoscaler, waits, lets go, and gives way to the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray

from clusters import wait_for


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A head, and a cluster whose next look finds one node with one GPU more; what was asked of it and done."""
    seen: dict[str, Any] = {"gpus": 0, "grows": 1, "asked": [], "selectors": [], "ran": None}

    def look() -> list[dict[str, Any]]:
        kinds = ["fast", "slow"] * seen["gpus"]
        nodes = [{"Alive": True, "Resources": {"GPU": 1.0}, "Labels": {"kind": kind}} for kind in kinds[: seen["gpus"]]]
        seen["gpus"] += seen["grows"]
        head = {"Alive": True, "Resources": {"CPU": 4.0}, "Labels": {}}
        return [head, *nodes, {"Alive": False, "Resources": {"GPU": 8.0}, "Labels": {"kind": "fast"}}]

    def ask(bundles: list[dict[str, int]], bundle_label_selectors: list[dict[str, str]] | None = None) -> None:
        seen["asked"].append(bundles)
        seen["selectors"].append(bundle_label_selectors)

    def run(program: str, command: list[str]) -> None:
        assert program == command[0]
        assert seen["asked"][-1:] in ([], [[]])  # the request is withdrawn before
        seen["ran"] = command

    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "nodes", look)
    monkeypatch.setattr(wait_for, "request_resources", ask)
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


def test_nodes_without_the_label_do_not_count(cluster: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert wait_for.main(["--gpus", "2", "--nodes", "2", "--node-label", "kind=fast", "--", "fer-tune", "search"]) == 0
    assert cluster["asked"] == [[{"GPU": 1}] * 2, []]
    assert cluster["selectors"][0] == [{"kind": "fast"}] * 2
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "2 nodes with kind=fast (2 wanted), 2 GPUs (2 wanted)"
    assert cluster["gpus"] == 4  # it looked until the third node of the cluster, the second of its kind, was there


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


@pytest.mark.parametrize(
    "arguments", [["--gpus", "-1"], ["--nodes", "0"], ["--or-resume", "/shared/runs/first"], ["--node-label", "fast"]]
)
def test_nonsense_is_refused(cluster: dict[str, Any], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        wait_for.main(arguments)
    assert stop.value.code == 2
    assert cluster["asked"] == []
