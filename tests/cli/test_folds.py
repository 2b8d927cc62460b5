"""A run over folds, from the search to the report: on drawn people, two folds, networks that hardly learn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from drawing import patterned
from PIL import Image
from typer.testing import CliRunner

import fer_tune
from analysis.folds.run import folds_at, load_any
from analysis.heldout import opening
from analysis.result import Run
from fer_tune.cli import refit, report, resume, search, test
from fer_tune.cli.data import app as data_app
from fer_tune.errors import UserError
from fer_tune.search.running import engine

app = typer.Typer()
for module in (refit, report, resume, search, test):
    app.command(module.__name__.rpartition(".")[2])(module.command)

SEARCH = ("--backbone", "cnn_simpler", "--trials", "1", "--epochs", "1", "--no-published", "--wandb", "disabled")


def call(*arguments: object, code: int = 0, program: typer.Typer = app) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(program, [str(argument) for argument in arguments])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def folds(tmp_path_factory) -> Path:
    """Four people with three images each of three emotions, in two folds."""
    root, rng = tmp_path_factory.mktemp("folds"), np.random.default_rng(0)
    for person in range(4):
        for label, emotion in enumerate(("happy", "neutral", "sad")):
            for number in range(3):
                file = root / "raw" / f"p{person}" / emotion / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(patterned(label, rng)[..., 0]).save(file)
    shown = call("prepare", root / "raw", "--folds", "2", "--out", root / "data", program=data_app)
    assert "4 people in 2 folds" in shown
    assert "people: each stands on one side" in shown
    return root / "data"


@pytest.mark.slow
def test_the_whole_way(ray_local, folds, tmp_path, monkeypatch):
    """Some 20 s: two searches, refits and tests, each through Ray, are what it is about."""
    run = tmp_path / "runs" / "ours"
    shown = call("search", "--data", folds, *SEARCH, "--storage", tmp_path / "runs", "--name", "ours")
    assert "fold_02 of 2: 2 people held out, of 4" in shown
    assert f"next: fer-tune refit {run}" in shown
    made = load_any(run)
    assert [own.folder.name for own in made.runs.values()] == ["ours-fold_01", "ours-fold_02"]
    assert [own.settings.dataset.path for own in made.runs.values()] == [str(folds / f"fold_0{n}") for n in (1, 2)]
    with pytest.raises(UserError, match=r"a run over folds; name the run of one of them, such as .*ours-fold_01"):
        fer_tune.load_run(run)
    assert isinstance(load_any(run / "ours-fold_01"), Run)
    with pytest.raises(UserError, match=r"fold_01: .* nothing is refitted yet"):
        call("test", run)

    assert "next: fer-tune test" in call("refit", run, "--top", "1", "--seeds", "2")
    call("report", run)
    assert "Every fold is searched; next: `fer-tune refit ours`" in (run / "report" / "report.md").read_text()

    opened, whole = [], opening.run_test

    def broken(own, **options):
        opened.append(own.folder.name)
        if len(opened) == 2:
            raise UserError("the disk is full")
        return whole(own, **options)

    monkeypatch.setattr(opening, "run_test", broken)
    with pytest.raises(UserError, match="the disk is full"):
        call("test", run, "--no-tta")
    assert folds_at(run).result is None
    shown = call("test", run, "--no-tta")  # the first fold is not opened again
    assert opened == ["ours-fold_01", "ours-fold_02", "ours-fold_02"]
    result = fer_tune.load_folds(run).result
    assert result.people == 4
    scores = result.pooled
    assert scores.images == 36
    assert [fold.openings for fold in result.folds] == [1, 1]
    each = [fold.accuracy for fold in result.folds]
    assert result.mean == pytest.approx(np.mean(each))
    assert result.sd == pytest.approx(np.std(each, ddof=1))
    assert scores.accuracy.value == pytest.approx(np.mean(each))  # both folds hold as many images
    assert scores.accuracy.low < scores.accuracy.value < scores.accuracy.high
    assert [one.support for one in scores.per_class] == [12] * 3
    assert scores.groups_sampled == 4
    assert "new groups (people, characters, videos) and new seeds: the 4 groups" in scores.method
    assert f"{100 * result.mean:.1f} %" in shown
    assert "36 images of 4 people" in shown

    with pytest.raises(UserError, match=r"the held-out split of every fold was opened(.|\n)*--again"):
        call("test", run)
    with pytest.raises(UserError, match=r"--on, --corruptions: of one fold at a time; name the run of a fold.*fold_01"):
        call("test", run, "--again", "--corruptions")
    call("test", run, "--again", "--no-tta")
    shown = call("report", run)
    told = (run / "report" / "report.md").read_text()
    assert "36 images of 4 people" in told
    assert "A held-out split was opened 2 times" in told
    assert "| fold_02 | 2 | 18 |" in told
    assert str(tmp_path) not in told
    assert "report.html" in shown

    before = [len(own.rows) for own in folds_at(run).runs.values()]
    call("resume", run)  # nothing is left to do
    assert [len(own.rows) for own in folds_at(run).runs.values()] == before == [1, 1]


@pytest.mark.slow
def test_an_interrupt_in_a_fold_is_gone_on_from(ray_local, folds, tmp_path, monkeypatch):
    fit, fitted = engine._fit, []

    def stopped(*given):
        fitted.append(given[1].name)
        found = fit(*given)
        return engine.Ended(found.run, False, True) if len(fitted) == 1 else found

    monkeypatch.setattr(engine, "_fit", stopped)
    shown = call(
        "search", "--data", folds, *SEARCH, "--storage", tmp_path, "--name", "ours", "--time-budget", "2h", code=130
    )
    assert (
        f"interrupted in fold 1 of 2; nothing finished is lost. Go on with: fer-tune resume {tmp_path / 'ours'}"
        in shown
    )
    with pytest.raises(UserError, match="fold_02 was not searched yet; go on with `fer-tune resume"):
        call("refit", tmp_path / "ours")
    call("resume", tmp_path / "ours")
    assert fitted == ["ours-fold_01", "ours-fold_02"]
    runs = fer_tune.load_folds(tmp_path / "ours").runs
    assert [own.settings.time_budget_seconds for own in runs.values()] == [3600, 3600]  # shared out
    assert [own.settings.epochs for own in runs.values()] == [1, 1]


def test_what_is_wrong_is_told_before_anything_is_made(folds, tmp_path):
    with pytest.raises(UserError, match="--storage s3://bucket/runs: a run over folds lies in a folder"):
        call("search", "--data", folds, *SEARCH, "--storage", "s3://bucket/runs")
    with pytest.raises(UserError, match="no such timm model"):
        fer_tune.search(data=folds, backbone="nothing", storage=tmp_path / "runs")
    with pytest.raises(UserError, match="no_such: not a run over folds"):
        fer_tune.load_folds(tmp_path / "no_such")
    card = json.loads((folds / "folds.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for fold in card["folds"]:
        (other / fold["name"]).symlink_to(folds / "fold_01")
    (other / "folds.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"its content is not that on record in folds\.json"):
        fer_tune.search(data=other, backbone="cnn_simpler", storage=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
