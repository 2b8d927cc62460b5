"""Ray Tune's state names the folder of the machine where the search began; what is restored uses that of this one."""

from __future__ import annotations

import pickle

from fer_tune.run_folder import RunFolder
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import load_space
from fer_tune.search.watching.recorder import Recorder
from fer_tune.storage.moved import moved_to
from fer_tune.storage.runs import new_run
from fer_tune.tracking.session import Session


def searcher_in(run):
    run.path.mkdir(parents=True, exist_ok=True)
    return StudySearcher({"cnn_simpler": load_space("cnn_simpler")}, {}, 3, 2, 0, run)


def test_what_is_restored_writes_to_the_folder_of_this_machine(tmp_path):
    old, first = RunFolder(tmp_path / "old"), RunFolder(tmp_path)
    state = pickle.dumps((Recorder(old), Session(old.path, "disabled"), searcher_in(first)))
    recorder, session, searcher = pickle.loads(state)
    assert (recorder._run, session.folder, searcher._run) == (old, old.path, first)
    moved = RunFolder(tmp_path / "new", "s3://bucket/runs/r")  # into a store, or to another one
    with moved_to(moved):
        recorder, session, searcher = pickle.loads(state)
    assert (searcher._run, searcher._run.uri) == (moved, moved.uri)
    assert session.folder == tmp_path / "new"
    recorder.write()
    assert (tmp_path / "new" / "trials.parquet").is_file()
    assert not (tmp_path / "old").exists()
    assert pickle.loads(state)[1].folder == tmp_path / "old"  # the next search of this process is another


def test_the_snapshot_brings_a_journal_that_the_store_has_not_all_of(tmp_path, bucket, monkeypatch):
    begun = searcher_in(new_run(f"{bucket}/runs", "r"))
    begun.suggest("a"), begun.suggest("b")
    begun.on_trial_result("b", {"epoch": 1, "val_accuracy": 0.4})
    begun.save(str(tmp_path / "state"))
    state = pickle.dumps(begun)
    lines = begun._run.study_file.read_bytes().splitlines(keepends=True)

    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "another"))
    run = new_run(f"{bucket}/runs", "r")
    run.path.mkdir(parents=True)
    run.study_file.write_bytes(b"".join(lines[: len(lines) // 2]))  # what had been sent when the driver died
    with moved_to(run):
        restored = pickle.loads(state)
    restored.restore(str(tmp_path / "state"))
    restored.on_trial_complete("b", {"epoch": 2, "val_accuracy": 0.5, "finished": True, "best_val_accuracy": 0.5})
    study = restored._study("cnn_simpler")
    assert [trial.user_attrs["trial_id"] for trial in study.trials] == ["a", "b"]
    assert study.trials[1].value == 0.5
    assert restored.suggest("c")["backbone"] == "cnn_simpler"
