"""Each point that leans on the inside of W&B is where it was in wandb 0.31, and what made it necessary is still so."""

from __future__ import annotations

import inspect
import threading
from importlib.metadata import version
from pathlib import Path

import pytest
import wandb
from wandb_reader import read_runs

from fer_tune.tracking import service
from fer_tune.tracking.sync import unsynced
from fer_tune.tracking.wandb_internals import (
    NEWS_THREAD,
    OFFLINE_RUNS,
    ONLINE_RUNS,
    QUIET_SETTINGS,
    RECORDS,
    SYNCED,
    flaw_of,
    key_is_kept,
    record_used,
    service_process,
)

SEEN = f"as seen in wandb 0.31, not in {version('wandb')}"


def test_an_offline_run_keeps_to_its_settings_and_its_service_can_be_ended(run_folder: Path) -> None:
    before = wandb.Settings()
    assert {name: getattr(before, name) for name in QUIET_SETTINGS} == {
        "x_disable_stats": False,
        "x_save_requirements": True,
        "x_transaction_log_flush_interval": 15.0,
    }, SEEN
    assert service_process() is None
    run = service.open_run("a", run_folder, "offline", {}, {"name": "a"})
    assert {name: getattr(run.settings, name) for name in QUIET_SETTINGS} == QUIET_SETTINGS
    process = service_process()
    assert process is not None, SEEN
    assert process.poll() is None
    made = wandb.Artifact("faces", type="dataset")
    with pytest.raises(TypeError, match="offline"):  # or `use_artifact` does it now, and `record_used` can go
        run.use_artifact(made)
    record_used(run, made)
    run.finish()
    service.end()  # only now is the record whole
    assert process.wait(30) is not None, SEEN
    (found,) = read_runs(run_folder).values()
    assert found.logged["faces"].use_after_commit, SEEN


def test_folders_of_runs_are_found(run_folder: Path) -> None:
    run = service.open_run("a", run_folder, "offline", {}, {"name": "a"})
    run.finish()
    assert wandb.Settings(mode="offline").run_mode + "-*" == OFFLINE_RUNS, SEEN
    assert wandb.Settings(mode="online").run_mode + "-*" == ONLINE_RUNS, SEEN
    (folder,) = unsynced(run_folder)
    (record,) = folder.glob(RECORDS)
    assert folder == Path(run.settings.sync_dir), SEEN
    record.with_suffix(SYNCED.removeprefix("*")).touch()
    assert unsynced(run_folder) == []
    from wandb.cli import beta_sync

    assert f'with_suffix("{SYNCED.removeprefix("*")}")' in inspect.getsource(beta_sync), SEEN
    assert '"offline-run-' in inspect.getsource(beta_sync), SEEN


def test_the_thread_that_asks_for_news_has_this_name() -> None:
    from wandb.sdk import wandb_run

    assert f'name="{NEWS_THREAD}"' in inspect.getsource(wandb_run.RunStatusChecker), SEEN
    assert NEWS_THREAD not in {thread.name for thread in threading.enumerate()}


def test_a_key_is_looked_at_without_being_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "0123456789" * 4
    assert flaw_of(key) is None, SEEN
    assert flaw_of("short"), SEEN
    assert "short" not in str(flaw_of("short"))
    assert not key_is_kept()
    Path.home().joinpath("netrc").write_text(f"machine 127.0.0.1:9 login user password {key}\n")
    assert key_is_kept() is True, SEEN
    assert service_process() is None, "asking starts no service"
    parameters = inspect.signature(wandb.login).parameters
    assert not [name for name in parameters if "dry" in name or "keep" in name], SEEN
