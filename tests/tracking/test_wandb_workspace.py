"""`fer-tune dashboard`, up to the request that it sends."""

from __future__ import annotations

import importlib.util
import itertools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_run import FakeRun
from typer.testing import CliRunner
from wandb_once import record_one
from wandb_server import Server, serving
from whole_run import load, predict, whole_run

from analysis.heldout.corruptions import run_corruptions
from fer_tune.cli.main import app
from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.tracking.wandb_internals import service_process
from fer_tune.tracking.workspace import save

pytest.importorskip("wandb_workspaces")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:wandb_workspaces.*")

KEY = "7766554433221100" * 3
SPACE = {"search": {"learning_rate": {"log_uniform": [1e-4, 1e-1]}, "augmentation": {"uniform": [0, 1]}}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as one:
        monkeypatch.setenv("WANDB_BASE_URL", one.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        one.key = KEY
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = FakeRun(tmp_path / "whole").write()
    spaces = dict.fromkeys(made.settings().backbones, SPACE)
    made.write_settings(made.settings().model_copy(update={"spaces": spaces}))
    return made


def panels(view: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    sections = json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
    return [(panel["viewType"], panel["config"]) for section in sections for panel in section["panels"]]


def test_a_view_of_the_search_with_the_panels_of_a_review_is_saved(server: Server, folder: RunFolder) -> None:
    address = save(folder).view
    view, _ = server.views
    assert (view["entityName"], view["projectName"], view["type"]) == ("nobody", "fer-tune", "project-view")
    assert view["displayName"] == "fer-tune: whole"
    assert address.startswith(f"{server.address}/nobody/fer-tune?nw=")
    assert view["name"].removeprefix("nw-").removesuffix("-v") in address

    shown = panels(view)
    (parallel,) = (config for kind, config in shown if kind == "Parallel Coordinates Plot")
    assert [(column["accessor"], column.get("log")) for column in parallel["columns"]] == [
        ("config:backbone.value", None),
        ("config:learning_rate.value", True),
        ("config:augmentation.value", False),
        ("summary:best_val_accuracy", None),
    ]
    assert [config["targetKey"] for kind, config in shown if kind == "Parameter Importance"] == ["best_val_accuracy"]
    lines = {(config["xAxis"], *config["metrics"]): config for kind, config in shown if kind == "Run History Line Plot"}
    assert ("trials", "best_val_accuracy", "trial_val_accuracy") in lines
    assert ("epoch", "val_accuracy") in lines
    bars = [config["metrics"] for kind, config in shown if kind == "Bar Chart"]
    classes = folder.settings().dataset.classes
    assert [f"summary_metrics.test_f1/{name}" for name in classes] in bars
    assert [config for kind, config in shown if kind == "Weave"]

    (runset,) = json.loads(view["spec"])["section"]["runSets"]
    assert '"whole"' in json.dumps(runset["filters"])
    assert '"group"' in json.dumps(runset["filters"])
    process = service_process()
    assert process is None or process.poll() is not None  # no service is left


def page_of(view: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the blocks of a report page: kind, and its text or the kinds of its panels."""
    told = []
    for block in json.loads(view["spec"])["blocks"]:
        if block["type"] == "heading":
            told.append(("heading", "".join(child["text"] for child in block["children"])))
        elif block["type"] == "markdown-block":
            told.append(("text", block["content"]))
        elif block["type"] == "panel-grid":
            told.append(("panels", json.dumps(block["metadata"])))
    return told


def below(told: list[tuple[str, str]], heading: str, wanted: str = "panels") -> str:
    """Return the panels, or the text, that stand below a heading, before the next one."""
    after = told[told.index(("heading", heading)) + 1 :]
    own = itertools.takewhile(lambda block: block[0] != "heading", after)
    return "".join(text for kind, text in own if kind == wanted)


def test_a_page_has_the_sections_of_the_report_with_the_panels_in_their_places(server: Server, tmp_path: Path) -> None:
    run, result = whole_run(tmp_path)
    found = run_corruptions(run, load=load, predict=predict, device="cpu", resamples=50)
    called = CliRunner().invoke(app, ["dashboard", str(run.folder.path)])
    assert called.exit_code == 0, called.output
    _, page = server.views
    assert (page["entityName"], page["projectName"], page["type"]) == ("nobody", "fer-tune", "runs")
    assert f"W&B: report page saved: {server.address}/nobody/fer-tune/reports/fer-tune:-whole--" in called.output
    told = page_of(page)
    headings = [text for kind, text in told if kind == "heading"]
    asked = ("On the held-out split", "Errors", "Refits", "Trials of the search", "How it was obtained")
    assert [text for text in headings if text in asked] == list(asked)  # in the order of the report
    assert f"{100 * result.accuracy.value:.1f}" in below(told, "On the held-out split", "text")
    assert "test_f1/" in below(told, "On the held-out split")
    beside = {name: below(told, name) for name in headings}
    assert "combinations" in beside["One model or several: what validation chose"]
    corrupted = beside["Under common corruptions"]
    assert all(f"corrupted_loss/{each.name}" in corrupted for each in found.each)
    assert beside["Calibration"] == ""
    grids = [text for kind, text in told if kind == "panels"]
    assert len(grids) == 5
    assert all('"whole"' in text for text in grids)  # of the runs of this search alone
    assert sum("Parameter Importance" in text for text in grids) == 1
    assert not any("/" in text and ".png" in text for kind, text in told if kind == "text")  # no picture, no file


def test_the_page_of_a_search_that_still_runs_has_its_panels(server: Server, folder: RunFolder) -> None:
    save(folder)
    assert [text for kind, text in page_of(server.views[1]) if kind == "heading"] == ["Search", "Trials"]


def test_a_page_that_is_not_taken_leaves_the_view(server: Server, folder: RunFolder) -> None:
    server.takes_pages = False
    with pytest.raises(UserError, match=r"view saved: http.*did not take the report page"):
        save(folder)
    assert len(server.views) == 1


def test_the_metrics_of_the_panels_are_those_that_are_recorded(server: Server, folder: RunFolder) -> None:
    from fer_tune.run_folder import METRICS

    save(folder)
    recorded = {*METRICS, "best_val_accuracy", "trial_val_accuracy", "epochs_spent", "epochs_saved"}
    lines = [config["metrics"] for kind, config in panels(server.views[0]) if kind == "Run History Line Plot"]
    assert {metric for metrics in lines for metric in metrics} <= recorded


def test_the_command_says_where_the_view_is_and_what_is_not_uploaded(server: Server, folder: RunFolder) -> None:
    server.projects.add("faces")
    record_one(folder.path, job_type="refit", name="refit", group="whole", config={})
    result = CliRunner().invoke(app, ["dashboard", str(folder.path), "--entity", "team", "--project", "faces"])
    assert result.exit_code == 0, result.output
    assert f"W&B: view saved: {server.address}/team/faces?nw=" in result.output
    assert f"upload with: fer-tune sync {folder.path}; the view shows what was uploaded" in result.output
    assert (server.views[0]["entityName"], server.views[0]["projectName"]) == ("team", "faces")


def test_a_missing_project_is_told_with_the_cure(
    server: Server, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "elsewhere")
    with pytest.raises(UserError, match=r"no project nobody/elsewhere .*`fer-tune sync`.*--entity and --project"):
        save(folder)
    assert server.views == []


def test_a_wrong_key_is_told(server: Server, folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY[::-1])
    with pytest.raises(UserError, match="W&B cannot be asked: ") as told:
        save(folder)
    assert KEY[::-1] not in str(told.value)
    assert server.views == []


def test_a_server_that_does_not_answer_is_told_soon(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        start = time.monotonic()
        with pytest.raises(UserError, match="W&B cannot be asked: "):
            save(folder)
        assert time.monotonic() - start < 60


def test_without_the_extra_a_key_or_a_record_nothing_is_asked(
    server: Server, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(UserError, match=r"fer-tune dashboard: no W&B API key .*`wandb login`"):
        save(folder)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'fer-tune\[workspace\]'"):
        save(folder)
    folder.write_settings(folder.settings().model_copy(update={"wandb": "disabled"}))
    with pytest.raises(UserError, match="--wandb disabled"):
        save(folder)
    assert server.operations == []
