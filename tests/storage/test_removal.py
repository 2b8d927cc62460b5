"""Old checkpoints that leave a store in the background, and what is not asked of it."""

from __future__ import annotations

import threading
import time

import pytest
from pyarrow import fs

from fer_tune.run_folder import RunFolder
from fer_tune.storage import patient, runs
from fer_tune.storage.mirror import Mirror
from fer_tune.storage.outage import Outage
from fer_tune.storage.patient import patient_filesystem
from fer_tune.storage.removal import Removals

NUMBERS = range(3)


@pytest.fixture
def removals(monkeypatch):
    made = Removals()
    monkeypatch.setattr(patient, "removals", made)
    monkeypatch.setattr(runs, "removals", made)
    monkeypatch.setattr(patient, "outage", Outage(lambda line: None, patience=60.0, first=0.05))
    return made


@pytest.fixture
def trial(bucket, tmp_path):
    """The path of a trial with some checkpoints, and the store as Arrow opens it."""
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state.pt").write_bytes(b"state")
    path = f"{bucket.removeprefix('s3://')}/r/tune/trial"
    for number in NUMBERS:
        target = f"{path}/checkpoint_{number:06d}"
        fs.copy_files(str(tmp_path / "checkpoint"), target, destination_filesystem=patient_filesystem(f"{bucket}/r"))
    return path


def left(bucket: str, path: str) -> list[str]:
    selector = fs.FileSelector(path, allow_not_found=True, recursive=True)
    found = fs.FileSystem.from_uri(bucket)[0].get_file_info(selector)
    return sorted(info.path.removeprefix(f"{path}/") for info in found if info.is_file)


def test_folders_are_not_written_where_names_alone_have_slashes(bucket, trial, tmp_path):
    filesystem = patient_filesystem(f"{bucket}/r")
    before = left(bucket, trial)
    filesystem.create_dir(f"{trial}/checkpoint_000009", recursive=True)
    infos = fs.FileSystem.from_uri(bucket)[0].get_file_info(fs.FileSelector(trial, recursive=True))
    assert {info.path.rsplit("/")[-1] for info in infos if not info.is_file} == {
        f"checkpoint_{number:06d}" for number in NUMBERS
    }
    assert left(bucket, trial) == before
    elsewhere = patient_filesystem(f"file://{tmp_path}")
    elsewhere.create_dir(f"{tmp_path}/a/b", recursive=True)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_search_does_not_wait_for_a_removal(store, bucket, trial, removals):
    filesystem = patient_filesystem(f"{bucket}/r")
    removals.begin()
    store.stop()
    try:
        began = time.monotonic()
        for number in NUMBERS:
            checkpoint = f"{trial}/checkpoint_{number:06d}"
            assert filesystem.get_file_info(checkpoint).type == fs.FileType.Directory
            filesystem.delete_dir(checkpoint)
        assert time.monotonic() - began < 1.0
        assert removals.end(0.0) == len(NUMBERS)
    finally:
        store.start()
    removals.begin()
    assert removals.end(30.0) == 0
    assert left(bucket, trial) == []
    assert not [thread for thread in threading.enumerate() if thread.name == "fer-tune-removal" and _lives(thread)]


def _lives(thread: threading.Thread) -> bool:
    thread.join(5.0)
    return thread.is_alive()


def test_what_is_no_checkpoint_or_belongs_to_nobody_is_removed_at_once(bucket, trial, removals):
    filesystem = patient_filesystem(f"{bucket}/r")
    filesystem.delete_dir(f"{trial}/checkpoint_000000")
    assert left(bucket, trial) == ["checkpoint_000001/state.pt", "checkpoint_000002/state.pt"]
    assert filesystem.get_file_info(f"{trial}/checkpoint_000000").type == fs.FileType.NotFound
    removals.begin()
    filesystem.delete_dir(trial)
    assert left(bucket, trial) == []
    assert filesystem.get_file_info(trial).type == fs.FileType.NotFound
    assert removals.end(0.0) == 0


def test_a_command_ends_when_the_old_checkpoints_are_gone(bucket, trial, removals):
    uri = f"{bucket}/r"
    with runs.kept(RunFolder(Mirror(uri).folder, uri)):
        gate = threading.Event()
        removals.add(gate.wait)  # one that takes long
        patient_filesystem(uri).delete_dir(f"{trial}/checkpoint_000000")
        threading.Timer(0.5, gate.set).start()
    assert gate.is_set()
    assert left(bucket, trial) == ["checkpoint_000001/state.pt", "checkpoint_000002/state.pt"]


def test_a_command_says_how_many_it_leaves(store, bucket, removals, monkeypatch, capsys):
    monkeypatch.setattr(runs, "_AT_END", 0.5)
    monkeypatch.setattr(runs, "outage", Outage(lambda line: None, patience=1.0, first=0.05))
    uri = f"{bucket}/r"
    gate = threading.Event()
    with runs.kept(RunFolder(Mirror(uri).folder, uri)):
        for _ in NUMBERS:
            removals.add(gate.wait)
    gate.set()
    assert f"{uri}: 3 old checkpoints are still there; they cost room alone" in capsys.readouterr().err


def test_an_error_ends_one_removal_and_not_the_others(removals):
    removals.begin()
    done = []

    def fails():
        raise OSError("away")

    removals.add(fails)
    removals.add(lambda: done.append(True))
    assert removals.end(10.0) == 1  # it is still there, and is told
    assert done == [True]
    removals.begin()
    assert removals.end(10.0) == 0  # by one command alone


def test_the_record_that_ray_would_write_is_not_asked_for(store, bucket, removals):
    filesystem = patient_filesystem(f"{bucket}/r")
    store.stop()
    try:
        for name in ("result.json", "progress.csv"):
            assert filesystem.get_file_info(f"bucket/r/tune/trial/{name}").type == fs.FileType.NotFound
    finally:
        store.start()
