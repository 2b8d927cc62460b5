"""A search from Python: the same as from the shell, several in one process, a run that goes on from there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from drawing import tiny_dataset

import fer_tune
from fer_tune.cli.main import main

SAME = ("backbones", "trials", "planned", "epochs", "seed", "spaces", "published", "warm_start", "dataset", "sampler")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("door") / "tiny"
    tiny_dataset(path)
    return path


def test_python_and_the_shell_make_the_same_search(ray_local, data, tmp_path, monkeypatch):
    given = {"trials": 4, "epochs": 2, "seed": 3, "concurrent": 1, "storage": tmp_path, "wandb": "disabled"}
    first = fer_tune.search(data=data, backbone="cnn_simpler", name="python", output="quiet", **given)
    words = [str(word) for key, value in given.items() for word in (f"--{key}", value)]
    arguments = ["fer-tune", "search", "--data", str(data), "--backbone", "cnn_simpler", "--name", "shell", "--quiet"]
    monkeypatch.setattr(sys, "argv", [*arguments, *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    second = fer_tune.load_run(tmp_path / "shell")
    for name in SAME:
        assert getattr(first.settings, name) == getattr(second.settings, name), name
    assert first.reason == ""
    columns = ["origin", "status", "epochs", "val_accuracy", "config.learning_rate", "config.batch_size"]
    assert first.trials[columns].equals(second.trials[columns])


def test_a_target_ends_a_search_and_the_run_says_so(ray_local, data, tmp_path):
    run = fer_tune.search(
        data=data,
        backbone="cnn_simpler",
        trials=3,
        epochs=2,
        target=0.01,
        storage=tmp_path,
        name="target",
        wandb="disabled",
        output="quiet",
    )
    assert run.reason.startswith("the target of 1.00%")
    again = fer_tune.resume(run, output="quiet")
    assert again.reason == ""
    assert len(again.trials) == 3


def test_a_run_shows_itself_in_a_cell(ray_local, data, tmp_path):
    run = fer_tune.search(
        data=data,
        backbone="cnn_simpler",
        trials=1,
        epochs=1,
        storage=tmp_path,
        name="<b>",
        wandb="disabled",
        output="quiet",
    )
    shown = run._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "1 of 1: 1 completed" in shown
    assert run.plot_history()._repr_png_().startswith(b"\x89PNG")
