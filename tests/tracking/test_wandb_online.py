from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from wandb_server import serving

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.tracking.sync import sync_hint, upload
from fer_tune.tracking.wandb_callback import WandbCallback

KEY = "0011223344556677" * 3


def test_online_the_server_gets_every_epoch_and_the_end(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        tracker = WandbCallback(run_folder, "smoke", "tiny", "online", finish_timeout=30)
        good, bad = (SimpleNamespace(trial_id=name, config={"backbone": "cnn"}) for name in ("good", "bad"))
        for trial in (good, bad):
            tracker.on_trial_start(0, [], trial)
            for epoch in (1, 2):
                tracker.on_trial_result(
                    0, [], trial, {"epoch": epoch, "val_accuracy": epoch / 4, "finished": epoch == 2}
                )
        tracker.on_trial_complete(0, [], good)
        tracker.on_trial_error(0, [], bad)
        tracker.on_experiment_end([good, bad])
        rows = {run: [(row["epoch"], row["val_accuracy"]) for row in sent] for run, sent in server.history.items()}
    assert tracker.warning is None
    assert rows == {"smoke-good": [(1, 0.25), (2, 0.5)], "smoke-bad": [(1, 0.25), (2, 0.5)]}
    assert server.exit_codes == {"smoke-good": 0, "smoke-bad": 1}
    assert sync_hint(RunFolder(run_folder)) == ""
    assert [file for file in run_folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()] == []


def record_offline(run_folder: Path) -> None:
    tracker = WandbCallback(run_folder, "smoke", "tiny", "offline")
    trial = SimpleNamespace(trial_id="t", config={"backbone": "cnn"})
    tracker.on_trial_start(0, [], trial)
    for epoch in (1, 2):
        tracker.on_trial_result(0, [], trial, {"epoch": epoch, "val_accuracy": epoch / 4, "finished": epoch == 2})
    tracker.on_trial_complete(0, [], trial)
    tracker.on_experiment_end([trial])


def test_what_was_recorded_offline_is_uploaded_once(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_offline(run_folder)
    assert sync_hint(RunFolder(run_folder)) == f"W&B: recorded offline; upload with: fer-tune sync {run_folder}"
    with pytest.raises(UserError, match="no W&B API key"):
        upload(run_folder)
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        assert upload(run_folder) == (1, [])
        sent = dict(server.history)
        assert upload(run_folder) == (0, [])
    assert [(row["epoch"], row["val_accuracy"]) for row in sent["smoke-t"]] == [(1, 0.25), (2, 0.5)]
    assert server.history == sent
    assert list(Path.cwd().glob("wandb")) == []  # nothing where the user happens to be
    assert sync_hint(RunFolder(run_folder)) == ""


def test_a_run_that_the_server_does_not_take_is_kept_and_named(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_offline(run_folder)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    (record,) = run_folder.glob("wandb/offline-run-*/*.wandb")
    record.write_bytes(b"not a record")
    with serving() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.address)
        done, left = upload(run_folder)
    assert (done, [folder.name for folder in left]) == (0, [record.parent.name])
