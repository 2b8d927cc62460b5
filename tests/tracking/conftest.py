from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole_run import whole_run

from analysis import Run, load_run


@pytest.fixture(autouse=True)
def _wandb_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no settings and no cache of whoever runs the tests; no address that answers."""
    for name in [name for name in os.environ if name.startswith(("WANDB_", "FER_TUNE_WANDB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FER_TUNE_WANDB_FINISH", "240")  # on a busy machine W&B may need a minute to start
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(home / "cache"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.chdir(home)
    yield
    import wandb

    wandb.teardown()  # it keeps the settings that it read first


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "smoke"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, _ = whole_run(tmp_path_factory.mktemp("made"))
    return run.folder.path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Run:
    """A run that was searched, refitted and tested; a copy of its own."""
    return load_run(shutil.copytree(made, tmp_path / "whole"))
