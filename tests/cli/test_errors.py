"""Bad input: one clear message on stderr, exit code 2, before Ray starts and before a run folder is made."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from drawing import tiny_dataset

from fer_tune.cli.main import main

Fails = Callable[..., str]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=14, n_val=7, n_test=7)
    return path


@pytest.fixture
def fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Return a function that runs `fer-tune ...` in an empty folder, and returns the message it fails with."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*arguments: object) -> str:
        import fer_tune.search.running.engine

        def no_compute(**_: object) -> None:
            raise AssertionError("Ray was to be started")

        monkeypatch.setattr(fer_tune.search.running.engine, "ray_session", no_compute)
        before = set(tmp_path.rglob("*"))
        monkeypatch.setattr(sys, "argv", ["fer-tune", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        assert stop.value.code == 2
        assert shown.out == ""
        assert shown.err.startswith("fer-tune: error: ")
        assert "Traceback" not in shown.err
        written = {path for path in set(tmp_path.rglob("*")) - before if path != folder / "runs"}
        assert not written, "something was written before the fault was told"
        return shown.err.removeprefix("fer-tune: error: ")

    return run


def test_a_data_folder_that_is_not_a_dataset(fails: Fails, tmp_path: Path) -> None:
    message = fails("search", "--data", tmp_path, "--backbone", "cnn_baseline")
    assert message.startswith(f"{tmp_path}: not a prepared dataset")
    for looked_for in ("dataset.json", "train.arrow", "fer-tune data prepare"):
        assert looked_for in message


def test_a_data_folder_that_does_not_exist(fails: Fails, tmp_path: Path) -> None:
    assert f"{tmp_path / 'nowhere'}: no such folder" in fails(
        "search", "--data", tmp_path / "nowhere", "--backbone", "cnn_baseline"
    )


@pytest.mark.parametrize(
    ("written", "meant"), [("cnn_baselin", "cnn_baseline"), ("resnt18", "resnet18"), ("CNN-residual", "cnn_residual")]
)
def test_an_unknown_backbone(fails: Fails, dataset: Path, written: str, meant: str) -> None:
    message = fails("search", "--data", dataset, "--backbone", "cnn_residual", "--backbone", written)
    assert repr(written) in message or f"{written}:" in message or f" {written}" in message
    assert f"'{meant}'" in message


def test_all_faults_of_a_space_file_with_their_lines(fails: Fails, dataset: Path, tmp_path: Path) -> None:
    lines = [
        "backbone: cnn_residual",
        "about: Four faults.",
        "search:",
        "  learning_rate: {log_uniform: [0.1, 0.001]}",  # 4: upside down
        "  batchsize: {choice: [32, 64]}",  # 5: misspelt
        "  augmentation: {uniform: [0.0, 1.5]}",  # 6: beyond its bound
        "  freeze_depth: {integer: [0, 60]}",  # 7: beyond the backbone
    ]
    file = tmp_path / "mine.yaml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    message = fails("search", "--data", dataset, "--backbone", "cnn_residual", "--space", file)
    told = {
        number: [line for line in message.splitlines() if line.strip().startswith(f"{file}:{number}:")]
        for number in (4, 5, 6, 7)
    }
    assert all(len(found) == 1 for found in told.values()), message
    assert "learning_rate" in told[4][0]
    assert "batch_size" in told[5][0]
    assert "1.5" in told[6][0]
    assert "60" in told[7][0]


def test_storage_that_cannot_be_written(fails: Fails, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    storage = tmp_path / "file" / "runs"  # also root cannot make a folder under a file
    message = fails("search", "--data", dataset, "--backbone", "cnn_baseline", "--storage", storage)
    assert f"--storage {storage}: not writable" in message


def test_a_run_name_that_exists(fails: Fails, dataset: Path, tmp_path: Path) -> None:
    taken = tmp_path / "runs" / "mine"
    taken.mkdir(parents=True)
    message = fails(
        "search", "--data", dataset, "--backbone", "cnn_baseline", "--storage", taken.parent, "--name", "mine"
    )
    assert f"fer-tune resume {taken}" in message
    assert "another --name" in message


@pytest.mark.parametrize("name", ["a/b", "..", "."])
def test_a_run_name_that_is_no_folder_name(fails: Fails, dataset: Path, name: str) -> None:
    assert f"--name {name}" in fails("search", "--data", dataset, "--backbone", "cnn_baseline", "--name", name)


@pytest.mark.parametrize("budget", ["30", "m", "0m", "half an hour", "0s"])
def test_a_time_budget_without_sense(fails: Fails, dataset: Path, budget: str) -> None:
    message = fails("search", "--data", dataset, "--backbone", "cnn_baseline", "--time-budget", budget)
    assert f"--time-budget {budget}" in message
    assert "30m" in message


def test_a_space_for_another_backbone(fails: Fails, dataset: Path) -> None:
    message = fails("search", "--data", dataset, "--backbone", "cnn_baseline", "--space", "cnn_residual")
    assert "cnn_residual" in message
    assert "cnn_baseline" in message


@pytest.mark.parametrize("command", ["resume", "refit", "test", "report"])
def test_a_folder_that_is_not_a_run(fails: Fails, tmp_path: Path, command: str) -> None:
    assert f"{tmp_path}: not a run folder" in fails(command, tmp_path)
    assert "nowhere: no such run folder" in fails(command, "nowhere")


@pytest.mark.parametrize("command", ["resume", "refit", "test", "report", "export"])
def test_a_run_that_cannot_be_written(
    fails: Fails, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    from fake_run import FakeRun

    from fer_tune.storage import runs

    def read_only(folder: Path) -> None:  # as root may write anywhere
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    FakeRun(tmp_path / "run", dataset=dataset).write()
    monkeypatch.setattr(runs, "_write", read_only)
    message = fails(command, tmp_path / "run")
    assert message.startswith(f"{tmp_path / 'run'}: cannot be written (Read-only file system), and what this command")
    assert "copy the run to a folder that you may write to" in message


def test_a_dataset_that_changed_since_the_search(fails: Fails, dataset: Path, tmp_path: Path) -> None:
    from fake_run import FakeRun

    run = FakeRun(tmp_path / "run", dataset=dataset, content_hash="1" * 64)
    run.write()
    message = fails("resume", tmp_path / "run")
    assert f"{dataset}: not the dataset of this run: its content hash is " in message
    assert "the run's is 111111111111, so it was prepared anew" in message
