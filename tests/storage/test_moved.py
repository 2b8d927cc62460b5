"""Ray Tune's state names the folder of the machine where the search began; what is restored uses that of this one."""

from __future__ import annotations

import pickle

from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import load_space
from fer_tune.search.watching.recorder import Recorder
from fer_tune.storage.moved import moved_to
from fer_tune.storage.runs import new_run
from fer_tune.tracking.session import Session


def searcher_in(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return StudySearcher({"cnn_simpler": load_space("cnn_simpler")}, {}, 3, 2, 0, folder / "study.journal")


def test_what_is_restored_writes_to_the_folder_of_this_machine(tmp_path):
    state = pickle.dumps((Recorder(tmp_path / "old"), Session(tmp_path / "old", "disabled"), searcher_in(tmp_path)))
    recorder, session, searcher = pickle.loads(state)
    assert (recorder._folder, session.folder) == (tmp_path / "old", tmp_path / "old")
    assert searcher._journal == tmp_path / "study.journal"
    with moved_to(tmp_path / "new"):
        recorder, session, searcher = pickle.loads(state)
    assert searcher._journal == tmp_path / "new" / "study.journal"
    assert session.folder == tmp_path / "new"
    recorder.write()
    assert (tmp_path / "new" / "trials.parquet").is_file()
    assert not (tmp_path / "old").exists()
    assert pickle.loads(state)[1].folder == tmp_path / "old"  # the next search of this process is another


def test_the_snapshot_brings_a_journal_that_the_store_has_not_all_of(tmp_path, bucket, monkeypatch):
    begun = searcher_in(new_run(f"{bucket}/runs", "r").path)
    begun.suggest("a"), begun.suggest("b")
    begun.on_trial_result("b", {"epoch": 1, "val_accuracy": 0.4})
    begun.save(str(tmp_path / "state"))
    state = pickle.dumps(begun)
    lines = begun._journal.read_bytes().splitlines(keepends=True)

    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "another"))
    run = new_run(f"{bucket}/runs", "r")
    run.path.mkdir(parents=True)
    run.study_file.write_bytes(b"".join(lines[: len(lines) // 2]))  # what had been sent when the driver died
    with moved_to(run.path):
        restored = pickle.loads(state)
    restored.restore(str(tmp_path / "state"))
    restored.on_trial_complete("b", {"epoch": 2, "val_accuracy": 0.5, "finished": True, "best_val_accuracy": 0.5})
    study = restored._study("cnn_simpler")
    assert [trial.user_attrs["trial_id"] for trial in study.trials] == ["a", "b"]
    assert study.trials[1].value == 0.5
    assert restored.suggest("c")["backbone"] == "cnn_simpler"
