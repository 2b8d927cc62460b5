"""A resume that changes its search: what it may change, what is refused, and a search that is changed for real."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from drawing import tiny_dataset
from optuna.trial import TrialState
from ray.tune.experiment import Trial

import fer_tune.search.running.tuner as tuner
from fer_tune.api import searching
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.door import GaveUpError
from fer_tune.errors import UserError
from fer_tune.filing.tables import write_table
from fer_tune.run_folder import TRIAL_COLUMNS, DatasetRef, RunFolder, SearchSettings
from fer_tune.search.options import ResumeOptions, SearchOptions
from fer_tune.search.proposing.studies import open_studies
from fer_tune.search.running import engine
from fer_tune.search.running.engine import Ended, resume, search
from fer_tune.search.running.extending import drop_damaged, extended
from fer_tune.search.watching.watched import read_snapshot

SPACE: dict[str, Any] = {
    "backbone": "cnn_simpler",
    "search": {"learning_rate": {"log_uniform": [1e-4, 3e-2]}, "augmentation": {"uniform": [0.0, 0.5]}},
    "fixed": {"batch_size": 35},
}
TWO = {"backbone": "cnn_simpler", "search": {"optimizer": {"choice": ["adam", "sgd"]}}}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "tiny"
    tiny_dataset(path, n_train=140, n_val=70, n_test=14)
    return path


@pytest.fixture
def run(data, tmp_path) -> RunFolder:
    """A search of four trials, of which one was stopped, one failed and one runs, after 50 of its 60 seconds."""
    run, card = RunFolder(tmp_path / "run"), PreparedDataset.open(data).card
    run.path.mkdir()
    run.write_settings(
        SearchSettings(
            name="run",
            created="2026-01-02T03:04:05+00:00",
            dataset=DatasetRef(path=str(data), name="tiny", content_hash=card.content_hash, classes=card.classes),
            backbones=["cnn_simpler"],
            trials=4,
            planned={"cnn_simpler": 4},
            epochs=3,
            time_budget_seconds=60,
            spaces={"cnn_simpler": SPACE},
        )
    )
    states = {"a": "completed", "b": "stopped", "c": "failed", "d": "running"}
    write_table(
        [{"trial_id": name, "backbone": "cnn_simpler", "status": state} for name, state in states.items()],
        TRIAL_COLUMNS,
        run.trials_file,
    )
    run.clock_file.write_text(json.dumps({"seconds": 50.0}))
    return run


def asked(run: RunFolder, **changes: Any) -> SearchSettings:
    return extended(run, run.settings(), ResumeOptions(**changes))


def test_nothing_asked_changes_nothing(run):
    assert asked(run) == run.settings()


def test_more_trials_are_planned_and_recorded_with_their_date(run):
    settings = asked(run, trials=9)
    assert (settings.trials, settings.planned, settings.total) == (9, {"cnn_simpler": 9}, 9)
    (entry,) = settings.resumed
    assert entry.changed == {"trials": 9}
    assert datetime.fromisoformat(entry.when).tzinfo is not None
    run.write_settings(settings)
    assert run.settings() == settings
    assert len(asked(run, trials=10).resumed) == 2


def test_failed_trials_are_planned_again_once(run):
    settings = asked(run, retry_failed=True)
    assert (settings.trials, settings.planned) == (4, {"cnn_simpler": 5})
    assert settings.retried == {"cnn_simpler": ["c"]}
    assert settings.resumed[0].changed == {"retry_failed": ["c"]}
    run.write_settings(settings)
    assert asked(run, retry_failed=True) == settings  # nothing else has failed
    assert asked(run, trials=6).planned == {"cnn_simpler": 7}


def test_where_nothing_failed_there_is_nothing_to_try_again(run):
    rows = [{"trial_id": name, "backbone": "cnn_simpler", "status": "completed"} for name in "abcd"]
    write_table(rows, TRIAL_COLUMNS, run.trials_file)
    with pytest.raises(UserError, match=r"--retry-failed: no trial of run failed that was not tried again; all have"):
        asked(run, retry_failed=True)
    assert asked(run, retry_failed=True, trials=6).total == 6  # then it is for what is to come


def test_damaged_tables_are_dropped_since_a_snapshot_has_their_rows(run):
    run.epochs_file.write_bytes(b"PAR1")
    assert drop_damaged(run) == ["epochs.parquet"]
    assert not run.epochs_file.exists()
    assert drop_damaged(run) == []
    run.trials_file.write_bytes(run.trials_file.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"trials\.parquet: not a parquet file .*; `fer-tune resume` writes it anew"):
        read_snapshot(run)
    assert drop_damaged(run) == ["trials.parquet"]


def test_a_search_of_which_tunes_state_was_removed_is_not_begun_anew_over_its_record(run):
    kept = run.trials_file.read_bytes()
    with pytest.raises(
        UserError, match=r"is gone from .*/tune\. The trials on record can still be refitted, by `fer-tun"
    ):
        resume(run.path)
    assert run.trials_file.read_bytes() == kept


def test_a_search_whose_studies_were_removed_draws_nothing_twice(run, capsys):
    run.tune.mkdir()
    (run.tune / "tuner.pkl").touch()
    with pytest.raises(UserError, match=r"study\.journal: is missing, .* --warm-start .*/run"):
        engine._look_for_records(run, run.settings())
    ended = run.settings().model_copy(update={"planned": {"cnn_simpler": 3}})
    engine._look_for_records(run, ended)  # draws none: its tables may be written anew
    run.study_file.touch()
    engine._look_for_records(run, run.settings())
    assert capsys.readouterr().err == ""


def test_a_clock_that_was_removed_is_told(run, capsys):
    run.clock_file.unlink()
    engine._look_for_records(run, run.settings())
    told = capsys.readouterr().err
    assert "clock.json: is missing" in told
    assert "its whole budget of 60 s once more; --time-budget gives another" in told
    engine._look_for_records(run, run.settings().model_copy(update={"time_budget_seconds": None}))
    assert capsys.readouterr().err == ""


class Ends:
    """Stands in for Tune: all trials have ended so."""

    def __init__(self, run: RunFolder, *states: str) -> None:
        self.run, self.states = run, states

    def fit(self) -> None:
        rows = [
            {"trial_id": str(number), "backbone": "cnn_simpler", "status": state, "error": f"reason {number}"}
            for number, state in enumerate(self.states)
        ]
        write_table(rows, TRIAL_COLUMNS, self.run.trials_file)


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        (("failed", "failed", "too_large", "failed"), "no trial ended well; the first of 4: reason 0"),
        (("failed", "failed", "stopped", "failed"), ""),
    ],
)
def test_a_search_of_which_nothing_is_left_gave_up(run, states, reason):
    found = engine._fit(Ends(run, *states), run, run.settings())
    assert (found.finished, found.gave_up, found.reason) == (True, bool(reason), reason)
    if reason:
        with pytest.raises(GaveUpError, match=rf"{reason}\. Go on with: fer-tune resume .*/run --retry-failed$"):
            searching._run_of(found)


class Full:
    """Stands in for a tuner whose disk fills up: under a trial, or under what the search itself writes."""

    def __init__(self, run: RunFolder, raises: bool) -> None:
        self.run, self.raises = run, raises

    def fit(self) -> None:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.run.path / "tune"))
        shared = {"backbone": "cnn_simpler"}
        rows = [
            {**shared, "trial_id": "a", "status": "completed", "val_accuracy": 0.5},
            {**shared, "trial_id": "b", "status": "failed", "error": f"OSError: {error}"},
        ]
        write_table(rows, TRIAL_COLUMNS, self.run.trials_file)
        if self.raises:
            raise RuntimeError("the callback failed") from error


@pytest.mark.parametrize("raises", [True, False])
def test_a_disk_that_is_full_ends_the_search_with_the_cure(run, raises):
    found = engine._fit(Full(run, raises), run, run.settings())
    with pytest.raises(GaveUpError, match=r"a disk is full, .*; make room\. Go on with: .*/run --retry-failed$"):
        searching._run_of(found)


def test_the_time_budget_is_what_is_left_of_it(run):
    assert asked(run).time_budget_seconds == 60  # 10 s are left
    assert asked(run, time_budget_seconds=100.0).time_budget_seconds == 150
    run.clock_file.write_text(json.dumps({"seconds": 61.0}))
    with pytest.raises(UserError, match="its time budget of 60 s is spent; give it more with --time-budget"):
        asked(run)
    assert asked(run, time_budget_seconds=100.0).time_budget_seconds == 161


def test_what_holds_for_no_trial_is_not_on_record(run, data, monkeypatch, capsys):
    rows = [{"trial_id": name, "backbone": "cnn_simpler", "status": "completed"} for name in "abcd"]
    write_table(rows, TRIAL_COLUMNS, run.trials_file)
    assert asked(run, time_budget_seconds=100.0, checkpoint_every=5.0, data=str(data)) == run.settings()
    run.tune.mkdir()
    (run.tune / "tuner.pkl").touch()
    before = run.settings()
    monkeypatch.setattr(engine, "ray_session", lambda **_: nullcontext(False))
    monkeypatch.setattr(engine, "check_shared", lambda *_: None)
    monkeypatch.setattr(engine, "restored_tuner", lambda *_: Ends(run, *["completed"] * 4))
    assert resume(run.path, ResumeOptions(concurrent=7, cpus_per_trial=5)).finished
    assert run.settings() == before
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in told] == ["--cpus-per-trial 5", "--concurrent 7"]


def test_checkpoints_are_as_far_apart_as_is_asked(run):
    settings = asked(run, checkpoint_every=300.0)
    assert tuner.trial_setup(settings).checkpoint_every == 300
    assert settings.resumed[0].changed == {"checkpoint_every": 300.0}
    run.write_settings(settings)
    assert asked(run, checkpoint_every=300.0) == settings
    assert asked(run, checkpoint_every=0.0).checkpoint_every == 0


def test_the_same_data_may_be_elsewhere_and_no_other(run, data, tmp_path):
    shutil.copytree(data, tmp_path / "moved")
    settings = asked(run, data=str(tmp_path / "moved"))
    assert settings.dataset.path == str(tmp_path / "moved")
    assert settings.dataset.content_hash == run.settings().dataset.content_hash
    tiny_dataset(tmp_path / "other", n_train=70, n_val=35, n_test=14)
    with pytest.raises(UserError, match=r"other: not the dataset of this run: .* prepared anew .*name it as --data"):
        asked(run, data=str(tmp_path / "other"))
    gone = run.settings()
    gone = gone.model_copy(update={"dataset": gone.dataset.model_copy(update={"path": str(tmp_path / "gone")})})
    with pytest.raises(UserError, match="run can go on with the same dataset elsewhere: --data"):
        extended(run, gone, ResumeOptions())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trials": 3}, "--trials 3: run has 4 for each backbone; give as many or more"),
        ({"epochs": 2}, "--epochs 2: too few for the 3 brackets of run"),
    ],
)
def test_what_cannot_be_is_refused(run, changes, told):
    run.write_settings(run.settings().model_copy(update={"brackets": 3}))
    with pytest.raises(UserError, match=told):
        asked(run, **changes)


def test_epochs_are_for_further_trials(run):
    assert asked(run, epochs=9).resumed[0].changed == {"epochs": 9}
    run.write_settings(run.settings().model_copy(update={"planned": {"cnn_simpler": 3}, "trials": 3}))
    with pytest.raises(UserError, match="--epochs 9: is for further trials, and run has none left; give --trials too"):
        asked(run, epochs=9)
    assert asked(run, epochs=9, trials=4).epochs == 9


def test_a_grid_has_no_more_than_its_points(run):
    run.write_settings(run.settings().model_copy(update={"sampler": "grid", "spaces": {"cnn_simpler": TWO}}))
    with pytest.raises(UserError, match="--trials 9: the grid has no more points"):
        asked(run, trials=9)


def options(data: Path, storage: Path, **more: Any) -> SearchOptions:
    file = storage / "space.yaml"
    file.write_text(json.dumps(SPACE))  # which is YAML
    given = {"trials": 3, "epochs": 2, "concurrent": 1, "grace_period": 2, "sampler": "random", **more}
    return SearchOptions(
        data, ["cnn_simpler"], name="run", storage=storage, spaces=[str(file)], wandb="disabled", **given
    )


def tables(ended: Ended) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(ended.run.trials_file).to_pylist()
    return rows


def agree(ended: Ended) -> None:
    """Assert that tables, study and Tune say the same of how each trial ended."""
    (study,) = open_studies(ended.run.study_file, ["cnn_simpler"], 0).values()
    told = {trial.user_attrs["trial_id"]: trial.state for trial in study.trials if "trial_id" in trial.user_attrs}
    states = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    assert told == {row["trial_id"]: states[row["status"]] for row in tables(ended)}
    newest = max(ended.run.tune.glob("experiment_state-*.json"))
    trials = [json.loads(state) for state, _ in json.loads(newest.read_text())["trial_data"]]
    assert {trial["trial_id"]: trial["status"] in ("TERMINATED", "ERROR") for trial in trials} == dict.fromkeys(
        told, True
    )


def failing(times: int, error: int, marks: Path, trials: int = 99) -> Any:
    """Return `run_trial` with the first ``times`` epochs of the first ``trials`` trials failing, each after its report.

    A nested function travels by value: the processes of trials cannot import this file.
    """

    def run_trial(config: dict[str, Any], setup: Any) -> None:
        from ray import tune as ray_tune

        from fer_tune.training import ray_worker

        own, name = ray_worker.train, ray_tune.get_context().get_trial_id()

        def train(*args: Any, on_epoch: Any, **options: Any) -> Any:
            def report(metrics: dict[str, Any], folder: Path) -> None:
                on_epoch(metrics, folder)
                mine = sorted(marks.glob(f"{name}-*"))
                others = {file.name.partition("-")[0] for file in marks.iterdir()} - {name}
                if len(mine) < times and (mine or len(others) < trials):
                    (marks / f"{name}-{len(mine)}").touch()
                    raise OSError(error, os.strerror(error))

            return own(*args, on_epoch=report, **options)

        ray_worker.train = train
        try:
            ray_worker.run_trial(config, setup)
        finally:
            ray_worker.train = own

    return run_trial


@pytest.mark.slow
def test_a_storage_that_fails_now_and_then_costs_no_trial(ray_local, data, tmp_path, monkeypatch):
    marks = tmp_path / "marks"
    marks.mkdir()
    monkeypatch.setattr(tuner, "run_trial", failing(1, errno.EIO, marks))
    ended = search(options(data, tmp_path, scheduler="none"))
    assert ended.finished
    assert len(list(marks.iterdir())) == 3  # each failed once, after its first epoch
    assert [(row["status"], row["error"], row["epochs"]) for row in tables(ended)] == [("completed", None, 2)] * 3
    agree(ended)


@pytest.mark.slow
def test_a_search_is_interrupted_extended_moved_and_repaired_in_one_folder(ray_local, data, tmp_path, monkeypatch):
    marks = tmp_path / "marks"
    marks.mkdir()
    ended = search(options(data, tmp_path, target=0.001))  # the target interrupts it at once
    assert not ended.finished
    before = {row["trial_id"]: row for row in tables(ended)}
    assert 0 < len(before) < 3 + 1

    (tmp_path / "elsewhere").mkdir()
    folder = shutil.move(ended.run.path, tmp_path / "elsewhere" / "renamed")
    moved = shutil.copytree(data, tmp_path / "faces")
    changes = ResumeOptions(trials=6, epochs=4, data=str(moved), concurrent=2)
    monkeypatch.setattr(tuner, "run_trial", failing(1, errno.ENOSPC, marks, trials=1))
    ended = resume(folder, changes)  # interrupted, extended, moved
    assert ended.finished
    rows = {row["trial_id"]: row for row in tables(ended)}
    assert len(rows) == 6
    assert set(before) <= set(rows)
    assert [row["status"] for row in rows.values()].count("failed") == 1
    assert {row["config.epochs"] for row in rows.values()} == {2, 4}  # what had begun goes on as it was
    agree(ended)

    ended = resume(folder, ResumeOptions(retry_failed=True))  # and repaired
    assert ended.finished
    again = {row["trial_id"]: row for row in tables(ended)}
    assert len(again) == 7
    (new,) = again.keys() - rows.keys()
    (failed,) = (row for row in again.values() if row["status"] == "failed")
    assert again[new]["status"] in ("completed", "stopped")
    assert again[new]["config.learning_rate"] == failed["config.learning_rate"]
    agree(ended)

    settings = ended.run.settings()
    assert (settings.trials, settings.epochs, settings.planned, settings.concurrent) == (6, 4, {"cnn_simpler": 7}, 2)
    assert settings.dataset.path == str(moved)
    assert [entry.changed.keys() for entry in settings.resumed] == [
        {"trials", "epochs", "data", "concurrent"},
        {"retry_failed"},
    ]
    assert resume(folder).finished  # nothing is left
    assert len(tables(ended)) == 7
    kept = {file.parent.name for file in ended.run.tune.glob("*/best.safetensors")}
    assert kept >= again.keys() - {failed["trial_id"]}
    assert not list(ended.run.tune.glob("*/state"))


def test_what_a_trial_gets_changes_for_those_that_go_on_too(ray_local, data, tmp_path):
    ended = search(options(data, tmp_path, trials=2, target=0.001, cpus_per_trial=1))
    assert not ended.finished
    ended = resume(ended.run.path, ResumeOptions(cpus_per_trial=2, trials=3))
    assert ended.finished
    settings = ended.run.settings()
    assert (settings.cpus_per_trial, settings.concurrent) == (2, 1)
    newest = max(ended.run.tune.glob("experiment_state-*.json"))
    states = [state for state, _ in json.loads(newest.read_text())["trial_data"]]
    got = [Trial.from_json_state(state, stub=True).placement_group_factory.bundles for state in states]
    assert got[-1] == [{"CPU": 2.0}]
    assert got.count([{"CPU": 2.0}]) >= 2  # one that had begun goes on with two
