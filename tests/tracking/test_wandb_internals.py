"""Each point that leans on the inside of W&B is where it was in wandb 0.31, and what made it necessary is still so."""

from __future__ import annotations

import inspect
import os
import threading
from importlib.metadata import version
from pathlib import Path

import pytest
import wandb
from wandb_reader import read_runs
from wandb_server import serving

from fer_tune.tracking import record_file, service
from fer_tune.tracking.sync import unsynced
from fer_tune.tracking.wandb_internals import (
    OFFLINE_RUNS,
    ONLINE_RUNS,
    QUIET_SETTINGS,
    RECORDS,
    SYNCED,
    THREADS,
    RecordedRun,
    flaw_of,
    in_sweep,
    key_is_kept,
    record_used,
    run_in,
    service_process,
    set_sweep_state,
    upsert_sweep,
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


def test_the_threads_that_talk_to_the_service_have_these_names() -> None:
    from wandb.sdk import wandb_run
    from wandb.sdk.lib.service import service_finalizer

    found = inspect.getsource(wandb_run.RunStatusChecker) + inspect.getsource(service_finalizer)
    assert [name for name in THREADS if f'name="{name}"' not in found] == [], SEEN
    assert THREADS[0] not in {thread.name for thread in threading.enumerate()}


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


@pytest.mark.filterwarnings("ignore:Read the `app_url` setting:DeprecationWarning")
def test_a_sweep_is_made_without_what_wandb_leaves_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"method": "random", "parameters": {"learning_rate": {"values": [0.1, 0.2]}}}
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
        monkeypatch.setenv("WANDB_PROJECT", "mine")
        monkeypatch.delenv("WANDB_ENTITY", raising=False)
        made = upsert_sweep(wandb.Api(), config, entity="", project="fer-tune", prior_runs=[])
        assert made == ("sweep1", "nobody", "fer-tune"), SEEN
        assert (os.environ["WANDB_PROJECT"], os.environ.get("WANDB_ENTITY")) == ("mine", None)
        for state in ("RUNNING", "PAUSED", "FINISHED"):
            set_sweep_state(wandb.Api(), "sweep1", state, entity="nobody", project="fer-tune")
            assert server.sweeps["sweep1"]["state"] == state, SEEN
        with pytest.raises(Exception, match="Cannot pause finished sweep"):
            set_sweep_state(wandb.Api(), "sweep1", "PAUSED", entity="nobody", project="fer-tune")
        assert capsys.readouterr().out == ""
        wandb.sweep(config, project="fer-tune")  # or it does neither any more, and `upsert_sweep` can go
        assert os.environ["WANDB_PROJECT"] == "fer-tune", SEEN
        assert "Create sweep with ID: sweep2" in capsys.readouterr().out, SEEN
        os.environ.pop("WANDB_ENTITY", None)


def test_the_record_of_a_run_names_its_sweep_where_the_settings_do(run_folder: Path) -> None:
    """And `wandb sync` goes by the record alone, see test_wandb_sweep.py."""
    for name, sweep in (("plain", None), ("within", "abcd1234")):
        run = service.open_run(name, run_folder, "offline", {}, {"job_type": "trial"}, sweep_id=sweep)
        run.finish()
    service.end()
    (plain,), (within,) = (
        [list(record_file.records(file.read_bytes())) for file in run_folder.glob(f"wandb/*-{name}/{RECORDS}")]
        for name in ("plain", "within")
    )
    told = [next(filter(None, map(run_in, records))) for records in (plain, within)]
    assert told == [
        RecordedRun("plain", "trial", "", "fer-tune", ""),
        RecordedRun("within", "trial", "", "fer-tune", "abcd1234"),
    ], SEEN
    changed = [in_sweep(record, "abcd1234") for record in plain]
    assert [place for place, record in enumerate(plain) if changed[place] != record] == [
        next(place for place, record in enumerate(plain) if run_in(record))
    ]
    assert next(filter(None, map(run_in, changed))).sweep_id == "abcd1234"
    assert [in_sweep(record, "abcd1234") for record in within] == within
