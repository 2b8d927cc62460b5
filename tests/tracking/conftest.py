from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


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
