"""trials.parquet and epochs.parquet: the schemas of run_folder, true to how each trial went."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from fer_tune.objectives import OBJECTIVES
from fer_tune.run_folder import EPOCH_COLUMNS, METRICS, RECALLS, TRIAL_COLUMNS, RunFolder
from fer_tune.search.watching.recorder import Recorder


def trial(name, **config):
    settings = {"backbone": "cnn_residual", "learning_rate": 0.1, "epochs": 5, "seed": 0, **config}
    return SimpleNamespace(
        trial_id=name, config={**settings, "origin": "searched"}, get_error=lambda: "Traceback\nActorDiedError: gone"
    )


def result(epoch, accuracy, finished=False):
    metrics = dict.fromkeys(METRICS, 0.5) | {name: [0.5, 0.5] for name in RECALLS}
    metrics |= {
        "val_accuracy": accuracy,
        "seconds": 2.0,
        "images_per_second": 100.0 * epoch,
        "parts": 1,
        "computed_in": "float32",
    }
    return {**metrics, "epoch": epoch, "finished": finished, "best_val_accuracy": accuracy, "best_epoch": epoch}


def test_the_best_epoch_is_that_of_what_the_search_is_for(tmp_path):
    recorder, one = Recorder(RunFolder(tmp_path), OBJECTIVES["val_macro_f1"]), trial("one")
    recorder.on_trial_start(0, [], one)
    for epoch, accuracy, macro_f1 in ((1, 0.6, 0.3), (2, 0.5, 0.4), (3, 0.55, 0.35)):
        recorder.on_trial_result(0, [], one, result(epoch, accuracy) | {"val_macro_f1": macro_f1})
    recorder.write()
    (row,) = pq.read_table(tmp_path / "trials.parquet").to_pylist()
    assert (row["best_epoch"], row["val_accuracy"], row["val_macro_f1"]) == (2, 0.5, 0.4)


def test_a_trial_that_does_not_fit_is_too_large_and_one_in_parts_says_so(tables):
    recorder, read = tables
    split, large = trial("split"), trial("large")
    recorder.on_trial_result(0, [], split, result(1, 0.5) | {"parts": 4})
    recorder.on_trial_complete(0, [], split)
    recorder.on_trial_start(0, [], large)
    recorder.on_trial_result(0, [], large, {"epoch": 0, "error": "out of memory", "too_large": True, "finished": True})
    recorder.on_trial_complete(0, [], large)
    _, rows, epochs = read()
    assert (rows["split"]["status"], rows["split"]["parts"]) == ("stopped", 4)
    assert (rows["large"]["status"], rows["large"]["error"]) == ("too_large", "out of memory")
    assert epochs["parts"].to_pylist() == [4]


@pytest.fixture
def tables(tmp_path):
    recorder = Recorder(RunFolder(tmp_path))

    def read():
        recorder.write()
        trials = pq.read_table(tmp_path / "trials.parquet")
        return trials, {row["trial_id"]: row for row in trials.to_pylist()}, pq.read_table(tmp_path / "epochs.parquet")

    return recorder, read


def test_a_row_per_trial_with_its_best_epoch(tables):
    recorder, read = tables
    one = trial("one")
    recorder.on_trial_start(0, [], one)
    for epoch, accuracy in ((1, 0.3), (2, 0.6), (3, 0.5)):
        recorder.on_trial_result(0, [], one, result(epoch, accuracy, finished=epoch == 3))
    recorder.on_trial_complete(0, [], one)
    table, rows, epochs = read()
    assert table.schema.names[: len(TRIAL_COLUMNS)] == list(TRIAL_COLUMNS)
    row = rows["one"]
    assert (row["status"], row["epochs"], row["best_epoch"], row["val_accuracy"]) == ("completed", 3, 2, 0.6)
    assert (row["seconds"], row["images_per_second"]) == (6.0, 200.0)
    assert (row["config.learning_rate"], row["config.backbone"]) == (0.1, "cnn_residual")
    assert row["error"] is None
    assert epochs.schema.names == list(EPOCH_COLUMNS)
    assert epochs.column("epoch").to_pylist() == [1, 2, 3]


def test_stopped_failed_and_running(tables):
    recorder, read = tables
    stopped, refused, died, running = (trial(name) for name in ("stopped", "refused", "died", "running"))
    for one in (stopped, refused, died, running):
        recorder.on_trial_start(0, [], one)
    recorder.on_trial_result(0, [], stopped, result(1, 0.2))
    recorder.on_trial_complete(0, [], stopped)
    recorder.on_trial_result(0, [], refused, {"epoch": 0, "error": "out of memory", "finished": True})
    recorder.on_trial_complete(0, [], refused)
    recorder.on_trial_error(0, [], died)
    _, rows, _ = read()
    assert {name: row["status"] for name, row in rows.items()} == {
        "stopped": "stopped",
        "refused": "failed",
        "died": "failed",
        "running": "running",
    }
    assert rows["refused"]["error"] == "out of memory"
    assert rows["died"]["error"] == "ActorDiedError: gone"
    assert rows["running"]["val_accuracy"] is None


def test_a_retried_trial_replaces_the_epochs_it_runs_again(tables):
    recorder, read = tables
    one = trial("one")
    for epoch, accuracy in ((1, 0.1), (2, 0.2), (3, 0.9), (2, 0.3)):
        recorder.on_trial_result(0, [], one, result(epoch, accuracy))
    _, rows, epochs = read()
    assert epochs.column("val_accuracy").to_pylist() == [0.1, 0.3]
    assert rows["one"]["val_accuracy"] == 0.3


def test_what_objectives_need_is_a_column(tables):
    recorder, read = tables
    one, other = trial("one"), trial("other")
    for epoch, seconds in ((1, 9.0), (2, 2.0), (3, 1.0)):
        measured = {"seconds": seconds, "parameters": 1234, "latency_ms": 0.5}
        recorder.on_trial_result(0, [], one, result(epoch, 0.3) | measured)
    recorder.on_trial_result(0, [], other, result(1, 0.3))
    _, rows, _ = read()
    assert {name: rows["one"][name] for name in ("epoch_seconds", "parameters", "latency_ms", "seconds")} == {
        "epoch_seconds": 2.0,
        "parameters": 1234,
        "latency_ms": 0.5,
        "seconds": 12.0,
    }
    assert (rows["other"]["parameters"], rows["other"]["latency_ms"]) == (None, None)


def test_what_a_trial_was_computed_in_is_kept(tables):
    recorder, read = tables
    for epoch in (1, 2):
        recorder.on_trial_result(0, [], trial("one"), result(epoch, 0.3) | {"computed_in": f"bf16, epoch {epoch}"})
    _, rows, epochs = read()
    assert rows["one"]["computed_in"] == "bf16, epoch 2"
    assert epochs.column("computed_in").to_pylist() == ["bf16, epoch 1", "bf16, epoch 2"]


def test_rows_survive_a_snapshot(tables, tmp_path):
    recorder, _ = tables
    recorder.on_trial_result(0, [], trial("one"), result(1, 0.4))
    resumed = Recorder(RunFolder(tmp_path / "resumed"))
    resumed.set_state(pickle.loads(pickle.dumps(recorder.get_state())))
    resumed.write()
    assert pq.read_table(tmp_path / "resumed" / "trials.parquet").column("trial_id").to_pylist() == ["one"]


@pytest.mark.parametrize("begins_again", [True, False])
def test_a_trial_that_failed_ran_again_and_completed_is_completed(tables, begins_again):
    recorder, read = tables
    one = trial("one")
    recorder.on_trial_start(0, [], one)
    recorder.on_trial_result(0, [], one, {"epoch": 0, "finished": True, "error": "OSError: Input/output error"})
    if begins_again:
        recorder.on_trial_start(0, [], one)
    recorder.on_trial_result(0, [], one, result(1, 0.5, finished=True))
    recorder.on_trial_complete(0, [], one)
    row = read()[1]["one"]
    assert (row["status"], row["error"], row["epochs"]) == ("completed", None, 1)
