"""The filesystem that Ray Tune writes its checkpoints through."""

from __future__ import annotations

import os
import pickle
import threading
import time

import pytest
from pyarrow import fs

from fer_tune.storage import patient
from fer_tune.storage.outage import Outage
from fer_tune.storage.patient import patient_filesystem


@pytest.fixture
def told(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(patient, "outage", Outage(lines.append, patience=20.0, first=0.05))
    return lines


@pytest.fixture
def checkpoint(tmp_path):
    """A folder of more files than Arrow has threads to copy them with."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for number in range(20):
        (folder / f"file{number}").write_bytes(os.urandom(1000))
    (folder / "weights").write_bytes(os.urandom(12 << 20))
    return folder


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_checkpoints_go_and_come_as_with_the_stores_own(bucket, checkpoint, tmp_path):
    filesystem = pickle.loads(pickle.dumps(patient_filesystem(f"{bucket}/r")))
    place = f"{bucket.removeprefix('s3://')}/r/tune/trial"
    filesystem.create_dir(place)
    fs.copy_files(str(checkpoint), f"{place}/checkpoint_0", destination_filesystem=filesystem)  # as Ray does
    plain = fs.FileSystem.from_uri(bucket)[0]
    assert plain.get_file_info(f"{place}/checkpoint_0/weights").size == 12 << 20
    (tmp_path / "back").mkdir()
    fs.copy_files(f"{place}/checkpoint_0", str(tmp_path / "back"), source_filesystem=filesystem)
    assert contents(tmp_path / "back") == contents(checkpoint)
    with filesystem.open_input_file(f"{place}/checkpoint_0/file3") as stream:
        assert stream.readall() == (checkpoint / "file3").read_bytes()
    filesystem.delete_dir(f"{place}/checkpoint_0")
    assert filesystem.get_file_info(f"{place}/checkpoint_0/file3").type == fs.FileType.NotFound
    assert filesystem == patient_filesystem(f"{bucket}/r")
    with pytest.raises(FileNotFoundError):
        filesystem.open_input_file(f"{place}/checkpoint_0/file3")


def test_its_state_holds_no_credentials(bucket, monkeypatch):
    filesystem = patient_filesystem(f"{bucket}/r")
    filesystem.get_file_info(bucket.removeprefix("s3://"))
    assert b"testing" not in pickle.dumps(filesystem)


def test_a_checkpoint_waits_for_a_store_that_is_away(store, bucket, checkpoint, told):
    filesystem = patient_filesystem(f"{bucket}/r")
    place = f"{bucket.removeprefix('s3://')}/r/late"
    store.stop()
    threading.Timer(2.0, store.start).start()
    started = time.monotonic()
    fs.copy_files(str(checkpoint), place, destination_filesystem=filesystem)
    assert time.monotonic() - started > 1.5
    assert filesystem.get_file_info(f"{place}/weights").size == 12 << 20
    assert len(told) >= 2
    assert "cannot be reached" in told[0]
    assert "reached again" in told[-1]


def test_somebody_in_a_hurry_does_not_wait(store, bucket, checkpoint, monkeypatch):
    waiting = Outage(lambda line: None, patience=600.0)
    monkeypatch.setattr(patient, "outage", waiting)
    monkeypatch.setattr("fer_tune.storage.outage._IN_A_HURRY", 0.5)
    filesystem = patient_filesystem(f"{bucket}/r")
    store.stop()
    try:
        threading.Timer(1.0, waiting.hurry).start()
        started = time.monotonic()
        with pytest.raises(OSError, match="NETWORK_CONNECTION"):
            filesystem.get_file_info(bucket.removeprefix("s3://"))
        assert time.monotonic() - started < 60
        assert waiting.seconds > 0
    finally:
        store.start()
