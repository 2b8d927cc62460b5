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


GIVEN = {"trials": 4, "epochs": 2, "seed": 3, "concurrent": 1, "wandb": "disabled"}


@pytest.fixture(scope="module")
def searched(ray_local, data, tmp_path_factory) -> fer_tune.Run:
    storage = tmp_path_factory.mktemp("runs")
    return fer_tune.search(data=data, backbone="cnn_simpler", name="<b>", storage=storage, output="quiet", **GIVEN)


def test_python_and_the_shell_make_the_same_search(searched, data, tmp_path, monkeypatch):
    words = [str(word) for key, value in GIVEN.items() for word in (f"--{key}", value)]
    arguments = ["fer-tune", "search", "--data", str(data), "--backbone", "cnn_simpler", "--name", "shell", "--quiet"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--storage", str(tmp_path), *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    second = fer_tune.load_run(tmp_path / "shell")
    for name in SAME:
        assert getattr(searched.settings, name) == getattr(second.settings, name), name
    assert searched.reason == ""
    columns = ["origin", "status", "epochs", "val_accuracy", "config.learning_rate", "config.batch_size"]
    assert searched.trials[columns].equals(second.trials[columns])


def test_a_target_ends_a_search_and_the_run_says_so(ray_local, data, tmp_path):
    run = fer_tune.search(
        data=data,
        backbone="cnn_simpler",
        trials=3,
        epochs=2,
        concurrent=1,  # one process to start, not two
        target=0.01,
        storage=tmp_path,
        name="target",
        wandb="disabled",
        output="quiet",
    )
    assert run.reason.startswith("the target of 1.00 %")
    again = fer_tune.resume(run, output="quiet")
    assert again.reason == ""
    assert len(again.trials) == 3


def test_a_run_shows_itself_in_a_cell(searched):
    assert len(repr(searched).splitlines()) < 12  # at a prompt too: not all of its settings
    shown = searched._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "4 of 4: " in shown
    assert searched.plot_history()._repr_png_().startswith(b"\x89PNG")
