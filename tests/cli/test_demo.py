"""`fer-tune demo`: that it types the documented commands, with the sizes asked for, and (slow) that they work."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fer_tune.cli import demo
from fer_tune.cli.main import app
from fer_tune.errors import UserError


@pytest.fixture
def typed(monkeypatch) -> tuple[typer.Typer, list[list[str]]]:
    """A program with the demo and, in place of the real commands, some that write down how they were called."""
    program, calls = typer.Typer(), []
    anything = {"allow_extra_args": True, "ignore_unknown_options": True}

    def stand_in(name: str) -> None:
        @program.command(name, context_settings=anything)
        def command(context: typer.Context) -> None:
            calls.append([name, *context.args])

    program.command("demo")(demo.command)
    for name in ("data", "search", "refit", "test", "report"):
        stand_in(name)
    monkeypatch.setattr("fer_tune.search.cluster.ray_session.ray_session", contextlib.nullcontext)
    return program, calls


def test_it_prints_and_runs_the_five_commands_of_the_readme(typed, tmp_path: Path) -> None:
    program, calls = typed
    out = tmp_path / "with space"
    shown = CliRunner().invoke(program, ["demo", "--out", str(out), "--size", "300", "--trials", "3", "--epochs", "2"])
    assert shown.exit_code == 0, shown.output
    assert [call[0] for call in calls] == ["data", "search", "refit", "test", "report"]
    data, search, refit, test, report = (" ".join(call) for call in calls)
    assert data == f"data synthesize --out {out}/data --size 300"
    assert f"--data {out}/data" in search
    assert "--trials 3 --epochs 2" in search
    assert search.count("--backbone") == 2
    assert f"--storage {out}/runs --name demo" in search
    assert all(f"{out}/runs/demo" in call for call in (refit, test, report))
    printed = [line for line in shown.output.splitlines() if line.startswith("$ ")]
    assert len(printed) == 5
    assert printed[0] == f"$ fer-tune data synthesize --out '{out}/data' --size 300"  # as a shell takes it


def test_it_has_the_sizes_that_the_project_promises(typed, tmp_path: Path) -> None:
    program, calls = typed
    assert CliRunner().invoke(program, ["demo", "--out", str(tmp_path / "demo")]).exit_code == 0
    search = calls[1]
    assert int(search[search.index("--trials") + 1]) * search.count("--backbone") >= 16
    assert calls[2][-4:] == ["--top", "2", "--seeds", "3"]


@pytest.mark.parametrize(("ends", "code"), [(UserError("no room"), 1), (typer.Exit(130), 130)])
def test_a_command_that_fails_or_is_interrupted_ends_it(typed, tmp_path: Path, ends: Exception, code: int) -> None:
    program, calls = typed

    def fails(context: typer.Context) -> None:
        raise ends

    for registered in program.registered_commands:
        if registered.name == "search":
            registered.callback = fails
    ended = CliRunner().invoke(program, ["demo", "--out", str(tmp_path / "demo")])
    assert ended.exit_code == code
    assert [call[0] for call in calls] == ["data"]


def test_it_writes_over_nothing(tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert isinstance(ended.exception, UserError)
    assert "exists; remove it, or choose another folder" in str(ended.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_whole_way_on_few_faces(ray_local, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    shown = CliRunner().invoke(app, ["demo", "--out", str(out), "--size", "400", "--trials", "2", "--epochs", "2"])
    assert shown.exit_code == 0, shown.output
    assert "held-out images of synthetic correctly (95 % interval" in shown.output.replace("\n", " ")
    assert (out / "runs" / "demo" / "report" / "report.html").stat().st_size > 100_000
