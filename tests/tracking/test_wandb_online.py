from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from wandb_server import serving

from fer_tune.tracking.sync import sync_hint
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
    assert sync_hint(run_folder) == ""
    assert [file for file in run_folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()] == []
