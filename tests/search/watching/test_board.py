"""What is shown of a search: the same board from a running search and from its run folder."""

from __future__ import annotations

import io
import json
import os
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from fake_run import FakeRun
from rich.console import Console

from fer_tune.filing.tables import write_table
from fer_tune.run_folder import EPOCH_COLUMNS, TRIAL_COLUMNS, RunFolder
from fer_tune.search.watching.board import Best, Running, Snapshot, board, clock
from fer_tune.search.watching.output import OUTPUT
from fer_tune.search.watching.progress import Progress
from fer_tune.search.watching.watched import read_snapshot

SNAPSHOT = Snapshot(
    total=16,
    epochs=9,
    completed=2,
    stopped=3,
    failures=["bad1: out of memory at batch_size 512"],
    running=[
        Running("ab12", "cnn_residual", "searched", 4, 0.513),
        Running("cd34", "cnn_residual", "paper/net", 0, None),
    ],
    best=[Best("cnn_residual", 0.5996, "ef56", "searched", 8)],
    seconds=3725,
    left=61,
    rate=412.6,
    cpus=4,
    gpus=0.5,
    memory_mib=1812.4,
)


def drawn(snapshot: Snapshot, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, highlight=False)
    console.print(board(snapshot))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_board_tells_all_in_80_columns():
    shown = drawn(SNAPSHOT)
    assert "trials 6/16  running 2  completed 2  stopped early 3  failed 1" in shown
    assert "1:02:05 elapsed, about 1:01 left, 413 images/s" in shown
    assert "in use 4 CPUs, 0.5 GPUs, up to 1,812 MiB a trial" in shown
    assert "in use" not in drawn(replace(SNAPSHOT, cpus=0, gpus=0, memory_mib=0))
    assert "best cnn_residual: 59.96 % val acc, trial ef56 (searched), epoch 8" in shown
    assert "failed bad1: out of memory at batch_size 512" in shown
    assert ["ab12", "cnn_residual", "searched", "4/9", "51.30", "%"] in [line.split() for line in shown.splitlines()]
    assert ["cd34", "cnn_residual", "paper/net", "0/9", "-"] in [line.split() for line in shown.splitlines()]
    assert max(map(len, shown.splitlines())) <= 80


def test_many_trials_and_long_lines_stay_in_their_place():
    many = [Running(f"t{place}", "cnn_residual", "searched", 1, 0.5) for place in range(40)]
    shown = drawn(replace(SNAPSHOT, running=many, failures=["x: " + "long " * 40])).splitlines()
    assert any("and 28 more" in line for line in shown)
    assert max(map(len, shown)) <= 80
    assert len(shown) < 24  # a terminal's height


@pytest.mark.parametrize("width", [12, 20, 40])
def test_a_narrow_terminal_shows_all_of_it(width):
    note = "the search has ended; next: fer-tune refit /data/runs/some-long-name"
    shown = drawn(replace(SNAPSHOT, notes=[note]), width)
    letters = re.sub(r"\s", "", shown)
    assert max(map(len, shown.splitlines())) <= width
    assert "".join(note.split()) in letters  # the command can be copied
    assert "failedbad1:outofmemoryatbatch_size512" in letters
    for told in ("ab12", "cnn_residual", "4/9", "51.30%"):
        assert told in letters


def test_nothing_is_shown_of_what_is_not_there_yet_or_no_more():
    before = replace(SNAPSHOT, completed=0, stopped=0, failures=[], running=[], best=[], left=None, rate=0, cpus=0)
    assert "time left not known yet" in drawn(before)
    assert "origin" not in drawn(before)  # no head of an empty table
    ended = drawn(replace(before, completed=16, left=0.0))
    assert "elapsed" in ended
    assert "left" not in ended
    assert "in use 1 CPU," in drawn(replace(SNAPSHOT, cpus=1))


def test_clock():
    assert [clock(seconds) for seconds in (5, 65, 3600)] == ["0:05", "1:05", "1:00:00"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return FakeRun(tmp_path / "fake").write()


def change(run: RunFolder, trial: int, **values: Any) -> None:
    rows = pq.read_table(run.trials_file).to_pylist()
    rows[trial] |= values
    write_table(rows, TRIAL_COLUMNS, run.trials_file)


def test_an_ended_search_is_read_from_its_folder(run):
    snapshot = read_snapshot(run)
    trials = pq.read_table(run.trials_file).to_pylist()
    assert (snapshot.ended, snapshot.total) == (16, 16)
    assert snapshot.completed == sum(row["status"] == "completed" for row in trials)
    for best in snapshot.best:
        accuracies = [row["val_accuracy"] for row in trials if row["backbone"] == best.backbone]
        assert best.value == max(value for value in accuracies if value is not None)
    assert f"next: fer-tune refit {run.path}" in drawn(snapshot, 200)


def test_a_running_search_shows_its_last_epoch(run):
    created = (datetime.now(UTC) - timedelta(seconds=100)).isoformat(timespec="seconds")
    run.write_settings(run.settings().model_copy(update={"created": created}))
    trial = pq.read_table(run.trials_file).to_pylist()[0]["trial_id"]
    change(run, 0, status="running", epochs=2)
    change(run, 1, status="failed", error="no memory\nand a traceback")
    epochs = [row for row in pq.read_table(run.epochs_file).to_pylist() if row["trial_id"] != trial]
    shared = {"trial_id": trial, "backbone": "cnn_residual", "images_per_second": 300.0, "peak_memory_mib": 70.0}
    epochs += [{**shared, "epoch": epoch, "val_accuracy": 0.1 * epoch} for epoch in (1, 2)]
    write_table(epochs, EPOCH_COLUMNS, run.epochs_file)
    snapshot = read_snapshot(run)
    (running,) = snapshot.running
    assert (running.trial_id, running.epoch, running.value) == (trial, 2, 0.2)
    assert snapshot.rate == 300
    assert (snapshot.cpus, snapshot.gpus) == (run.settings().cpus_per_trial, run.settings().gpus_per_trial)
    assert snapshot.memory_mib == 70
    assert "no memory" in [failure.split(": ")[1] for failure in snapshot.failures]  # the cause, not the traceback
    assert 95 < snapshot.seconds < 200
    assert snapshot.left is not None


def test_a_search_that_fell_silent_says_how_to_go_on(run):
    change(run, 0, status="running")
    an_hour_ago = time.time() - 3600
    os.utime(run.trials_file, (an_hour_ago, an_hour_ago))
    shown = drawn(read_snapshot(run), 200)
    assert re.search(r"nothing written for 1:0\d:\d\d; if it was interrupted, go on with: fer-tune resume ", shown)
    assert f"fer-tune resume {run.path}" in shown


def play(progress: Progress) -> None:
    config = {"backbone": "cnn_residual", "origin": "searched"}
    trial: Any = SimpleNamespace(trial_id="ab12", config=config, status="RUNNING", get_error=lambda: None)
    result: dict[str, Any] = {
        "epoch": 1,
        "val_accuracy": 0.5,
        "best_val_accuracy": 0.5,
        "best_epoch": 1,
        "seconds": 3.0,
    }
    progress.on_trial_result(
        1, [trial], trial, {**result, "finished": True, "images_per_second": 9.0, "peak_memory_mib": 40.0}
    )
    shown = progress.snapshot([trial])
    assert shown.running == [Running("ab12", "cnn_residual", "searched", 1, 0.5)]
    assert (shown.cpus, shown.gpus, shown.memory_mib) == (2, 0.5, 40.0)
    progress.on_trial_complete(1, [trial], trial)
    assert progress.snapshot([trial]).completed == 1
    dead: Any = SimpleNamespace(trial_id="cd34", config=config, status="ERROR", get_error=lambda: "Traceback\nkilled")
    progress.on_trial_error(1, [dead], dead)


@pytest.mark.parametrize("kind", ["text", "quiet", "json"])
def test_piped_output_is_a_line_per_event_or_json_or_nothing(kind, monkeypatch, capsys):
    monkeypatch.setenv(OUTPUT, kind)
    play(Progress(total=2, epochs=1, concurrent=1, time_budget=None, per_trial=(2, 0.5)))
    lines = capsys.readouterr().out.splitlines()
    if kind == "quiet":
        assert lines == []
    elif kind == "text":
        first, second = lines
        assert first.startswith("[1/2] ab12 cnn_residual searched: completed after 1 epoch, best val acc 50.00 %")
        assert second.startswith("[2/2] cd34 cnn_residual searched: failed: killed | best 50.00 % (ab12)")
    else:
        epoch, end, failed = map(json.loads, lines)
        assert (epoch["event"], epoch["trial_id"], epoch["epoch"], epoch["val_accuracy"]) == ("epoch", "ab12", 1, 0.5)
        assert (end["event"], end["status"]) == ("end", "completed")
        assert (failed["event"], failed["status"], failed["error"]) == ("end", "failed", "killed")


def test_time_left_reckons_with_the_trials_that_run_where_a_cluster_says_how_many(run, capsys):
    ended: Any = SimpleNamespace(trial_id="ab12", config={"backbone": "a", "origin": "searched"}, status="RUNNING")
    others = [SimpleNamespace(trial_id=f"t{place}", config=ended.config, status="RUNNING") for place in range(3)]
    result: dict[str, Any] = {
        "epoch": 1,
        "val_accuracy": 0.5,
        "best_val_accuracy": 0.5,
        "best_epoch": 1,
        "seconds": 30.0,
    }
    progress = Progress(total=9, epochs=1, concurrent=None, time_budget=None)
    progress.on_trial_result(1, [ended], ended, {**result, "finished": True})
    progress.on_trial_complete(1, [ended], ended)
    progress.on_step_end(1, [ended, *others])
    assert progress.snapshot([ended, *others]).left == 30.0 * 8 / 4
    progress.on_step_end(1, others[:2])
    assert progress.snapshot(others[:2]).left == 30.0 * 8 / 2
    run.write_settings(run.settings().model_copy(update={"concurrent": None}))
    for place in (0, 1, 4):
        change(run, place, status="running")
    spent = [row["seconds"] or 0.0 for row in pq.read_table(run.trials_file).to_pylist() if row["status"] != "running"]
    assert read_snapshot(run).left == pytest.approx(sum(spent) / 13)  # three more, three at a time


def test_trials_that_wait_for_a_place_are_told_where_none_runs():
    pending: Any = SimpleNamespace(trial_id="ab12", config={"backbone": "a", "origin": "searched"}, status="PENDING")
    progress = Progress(total=9, epochs=1, concurrent=None, time_budget=None)
    assert progress.snapshot([pending, pending]).notes == ["2 trials waiting for a place on the cluster"]
    running: Any = SimpleNamespace(trial_id="cd34", config=pending.config, status="RUNNING")
    assert progress.snapshot([pending, running]).notes == []
    own = Progress(total=9, epochs=1, concurrent=2, time_budget=None)
    assert own.snapshot([pending]).notes == ["starting: the workers load Python and PyTorch, some seconds"]
    assert own.snapshot([pending, running]).notes == []


def test_the_total_is_that_of_grids_of_different_sizes(run):
    rows = pq.read_table(run.trials_file).to_pylist()
    large = [row for row in rows if row["backbone"] == "cnn_residual"]
    small = [row for row in rows if row["backbone"] == "cnn_baseline"][:5]
    write_table([*large, *small], TRIAL_COLUMNS, run.trials_file)
    assert read_snapshot(run).total == 16
    planned = {"cnn_residual": 8, "cnn_baseline": 5}
    run.write_settings(run.settings().model_copy(update={"sampler": "grid", "planned": planned}))
    snapshot = read_snapshot(run)
    assert (snapshot.ended, snapshot.total) == (13, 13)
    assert snapshot.notes == [f"the search has ended; next: fer-tune refit {run.path}"]


def test_what_is_too_large_or_in_parts_is_told_as_it_ends(run, monkeypatch, capsys):
    monkeypatch.setenv(OUTPUT, "text")
    config = {"backbone": "cnn_residual", "origin": "searched"}
    large: Any = SimpleNamespace(trial_id="ab12", config=config, status="RUNNING")
    split: Any = SimpleNamespace(trial_id="cd34", config=config, status="RUNNING")
    progress = Progress(total=2, epochs=1, concurrent=1, time_budget=None)
    told = {"epoch": 0, "finished": True, "error": "out of memory at batch_size 512", "too_large": True}
    progress.on_trial_result(1, [], large, told)
    progress.on_trial_complete(1, [], large)
    best = {"val_accuracy": 0.5, "best_val_accuracy": 0.5, "best_epoch": 1}
    progress.on_trial_result(1, [], split, {"epoch": 1, "finished": True, "parts": 4, **best})
    progress.on_trial_complete(1, [], split)
    first, second = capsys.readouterr().out.splitlines()
    assert "ab12 cnn_residual searched: too large: out of memory at batch_size 512" in first
    assert "best val acc 50.00 %, batches in 4 parts to fit into memory" in second
    shown = progress.snapshot([])
    assert (shown.too_large, shown.failures, shown.ended) == (1, [], 2)
    assert "too large 1" in drawn(shown)
