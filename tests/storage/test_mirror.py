"""The local copy of a run in a store: what passes between the two, and what a store that is away costs."""

from __future__ import annotations

import gc
import json
import os
import threading
import time

import pytest

from fer_tune.errors import UserError
from fer_tune.run_folder import RunFolder
from fer_tune.storage import runs
from fer_tune.storage.mirror import Mirror, everything
from fer_tune.storage.outage import Outage


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return a function that changes to another machine: another cache."""

    def change(name: str) -> None:
        monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / name))

    change("here")
    return change


@pytest.fixture
def told(monkeypatch):
    """What is printed about the store."""
    lines: list[str] = []
    monkeypatch.setattr(runs, "outage", Outage(lines.append, patience=20.0, first=0.05))
    return lines


def write(mirror: Mirror, name: str, content: str | bytes) -> None:
    file = mirror.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())


def read(mirror: Mirror, name: str) -> str:
    return (mirror.folder / name).read_text()


def test_a_run_passes_from_machine_to_machine(bucket, machine):
    uri = f"{bucket}/runs/r"
    here = Mirror(uri)
    write(here, "search.yaml", "name: r\n")
    write(here, "refit/c/seed_0/result.json", "{}")
    write(here, "refit/c/seed_0/best.safetensors", b"weights")
    write(here, "wandb/offline-run-1/run.wandb", b"record")
    write(here, "tune/tuner.pkl", b"Tune's own")
    write(here, ".half-written", b"a part")
    (here.folder / "wandb" / "latest-run").symlink_to("offline-run-1")
    assert here.push() == 4
    assert here.push() == 0
    assert set(here.place.listing()) == {
        *("search.yaml", "refit/c/seed_0/result.json", "refit/c/seed_0/best.safetensors"),
        "wandb/offline-run-1/run.wandb",
    }

    machine("there")
    run = runs.open_run(uri)
    there = Mirror(uri)
    assert run.path == there.folder
    assert run.name == "r"
    assert {file.name for file in run.path.rglob("*") if file.is_file()} == {"search.yaml", "result.json"}
    weights = run.path / "refit/c/seed_0/best.safetensors"
    assert runs.needed(run, weights) == weights
    assert weights.read_bytes() == b"weights"
    assert runs.needed(run, run.path / "missing.safetensors").is_file() is False
    with runs.kept(run):
        write(there, "report/report.html", "<p>")
        (run.path / "refit/c/seed_0/result.json").unlink()

    machine("here")
    with runs.kept(RunFolder(here.folder, uri)):
        runs.open_run(uri)  # what this process keeps is not fetched again and again
        assert not (here.folder / "report").exists()
    opened = runs.open_run(uri)
    assert (opened.path / "report" / "report.html").read_text() == "<p>"
    assert not (opened.path / "refit/c/seed_0/result.json").exists()
    assert (opened.path / "wandb/latest-run").is_symlink()


def test_only_what_has_changed_is_copied(bucket, machine, monkeypatch):
    here = Mirror(f"{bucket}/r")
    for name in ("search.yaml", "trials.parquet", "epochs.parquet"):
        write(here, name, name)
    here.push()
    machine("there")
    there = Mirror(here.uri)
    there.pull()
    known = json.loads((there.home / "mirror.json").read_text())["files"]
    for note in known.values():
        note["racy"] = False  # they were written some time ago
    (there.home / "mirror.json").write_text(json.dumps({"uri": there.uri, "files": known}))
    write(here, "trials.parquet", "another size")
    assert here.push() == 1
    fetched = []
    get = there.place.get
    monkeypatch.setattr(there.place, "get", lambda name, *more: (fetched.append(name), get(name, *more)))
    there.pull()
    there.pull()
    assert fetched[0] == "trials.parquet"
    assert set(fetched) == {"trials.parquet"}
    assert read(there, "trials.parquet") == "another size"


def test_two_contents_of_one_size_in_one_second_are_told_apart(bucket, machine):
    here = Mirror(f"{bucket}/r")
    write(here, "trials.parquet", "running")
    here.push()
    machine("there")
    there = Mirror(here.uri)
    there.pull()
    write(here, "trials.parquet", "stopped")
    here.push()
    there.pull()
    assert read(there, "trials.parquet") == "stopped"


def test_a_file_that_both_changed_is_lost_by_neither(bucket, machine):
    here = Mirror(f"{bucket}/r")
    write(here, "search.yaml", "name: r\n")
    write(here, "dataset.json", "first")
    write(here, "test/ledger.jsonl", '{"opening": 1}\n')
    here.push()
    machine("there")
    there = Mirror(here.uri)
    there.pull()
    write(there, "dataset.json", "theirs, sent")
    write(there, "test/ledger.jsonl", '{"opening": 1}\n{"opening": 2, "by": "them"}\n')
    there.push()
    write(here, "dataset.json", "ours, not sent")
    write(here, "test/ledger.jsonl", '{"opening": 1}\n{"opening": 2, "by": "us"}\n')
    here.pull()
    assert read(here, "dataset.json") == "theirs, sent"
    (aside,) = here.home.glob("aside/*/dataset.json")
    assert aside.read_text() == "ours, not sent"
    here.push()
    there.pull()
    assert read(there, "test/ledger.jsonl").count("opening") == 3  # no opening of the held-out split is forgotten


def test_a_growing_file_is_sent_up_to_its_last_whole_line(bucket, machine):
    here = Mirror(f"{bucket}/r")
    write(here, "study.journal", '{"op": 0}\n{"op"')
    here.push()
    machine("there")
    there = Mirror(here.uri)
    there.pull()
    assert read(there, "study.journal") == '{"op": 0}\n'


def test_a_store_that_is_away_loses_nothing(store, bucket, machine, told):
    uri = f"{bucket}/runs/r"
    here = Mirror(uri)
    write(here, "search.yaml", "name: r\n")
    here.push()
    store.stop()
    try:
        with pytest.raises(UserError, match=r"/runs/r: cannot be reached: .*AWS_ENDPOINT_URL"):
            runs.open_run(uri)
        write(here, "report/report.html", "<p>")
        with pytest.raises(OSError, match="report"):
            here.push()
        assert here.unsent() == ["report/report.html"]
    finally:
        store.start()
    with runs.kept(runs.open_run(uri)):  # a later command on this machine
        pass
    assert "report/report.html" in here.place.listing()
    assert here.unsent() == []


def test_a_command_outlasts_an_outage(store, bucket, machine, told, monkeypatch):
    uri = f"{bucket}/runs/r"
    monkeypatch.setattr(runs, "_EVERY", 0.1)
    here = Mirror(uri)
    write(here, "search.yaml", "name: r\n")
    with runs.kept(RunFolder(here.folder, uri)):
        store.stop()
        write(here, "trials.parquet", "a row")
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            time.sleep(0.1)
        threading.Timer(1.0, store.start).start()
    assert "trials.parquet" in here.place.listing()
    assert len(told) == 2, told
    assert "cannot be reached" in told[0]
    assert "reached again" in told[1]


def test_a_command_ends_though_the_store_stays_away(store, bucket, machine, told, monkeypatch, capsys):
    uri = f"{bucket}/runs/r"
    monkeypatch.setattr(runs, "_AT_END", 1.0)
    here = Mirror(uri)
    write(here, "search.yaml", "name: r\n")
    stopped = []
    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    monkeypatch.setattr(runs, "_EVERY", 0.1)
    store.stop()
    try:
        with runs.kept(RunFolder(here.folder, uri), when_lost=lambda: stopped.append(True)):
            deadline = time.monotonic() + 30
            while not stopped and time.monotonic() < deadline:
                time.sleep(0.1)
    finally:
        store.start()
    assert stopped == [True]
    printed = capsys.readouterr().err
    assert "the search stops, ready to be resumed" in printed
    assert f"and 1 file not there yet: what is missing is kept in {here.folder}, and" in printed


def test_half_an_upload_is_never_seen(bucket, machine, monkeypatch):
    from moto.s3.models import S3Backend

    here = Mirror(f"{bucket}/r")
    name = "refit/c/seed_0/best.safetensors"
    write(here, name, b"whole")
    here.push()
    parts = []
    upload_part = S3Backend.upload_part

    def breaks(self, *arguments, **options):
        parts.append(1)
        if len(parts) > 1:
            raise RuntimeError("the server dies")
        return upload_part(self, *arguments, **options)

    monkeypatch.setattr(S3Backend, "upload_part", breaks)
    content = os.urandom(22 << 20)  # three parts
    write(here, name, content)
    with pytest.raises(OSError):  # noqa: PT011 - the SDK's words
        here.push()
    assert len(parts) > 1
    gc.collect()
    assert here.place.stat(name).size == 5
    monkeypatch.setattr(S3Backend, "upload_part", upload_part)
    gc.collect()
    assert here.place.stat(name).size == 5
    here.push()
    machine("there")
    there = Mirror(here.uri)
    there.pull(everything)
    assert (there.folder / name).read_bytes() == content


def test_a_store_whose_files_appear_as_they_are_written_is_written_beside(machine, monkeypatch):
    """HDFS, and whatever fsspec reads: a file gets its name when it is whole."""
    import fsspec

    memory = fsspec.filesystem("memory")
    here = Mirror("memory://box/runs/r")
    try:
        write(here, "search.yaml", "name: r\n")
        write(here, "refit/c/seed_0/best.safetensors", b"weights")
        here.push()
        write(here, "search.yaml", "name: other\n")
        opened = []
        open_file = type(memory)._open

        def counting(self, path, *more, **options):
            opened.append(path)
            return open_file(self, path, *more, **options)

        monkeypatch.setattr(type(memory), "_open", counting)
        here.push()
        (written,) = opened
        assert "/runs/r/.search.yaml." in written
        assert set(here.place.listing()) == {"search.yaml", "refit/c/seed_0/best.safetensors"}
        assert not [path for path in memory.find("/box") if "/." in path]
        machine("there")
        assert runs.open_run("memory://box/runs/r").settings_file.read_text() == "name: other\n"
        assert runs.open_run("memory://box/runs/r").settings_file.read_text() == "name: other\n"
    finally:
        memory.rm("/box", recursive=True)


def test_a_refit_far_away_works_on_a_copy(bucket, machine, told):
    uri = f"{bucket}/runs/r/refit/c/seed_0"
    with runs.working_copy(uri) as (folder, send):
        (folder / "epoch_0001.safetensors").write_bytes(b"1")
        (folder / "state.pt").write_bytes(b"1")
        send()
        (folder / "epoch_0002.safetensors").write_bytes(b"2")
        (folder / "state.pt").write_bytes(b"2")
        (folder / "epoch_0001.safetensors").unlink()
        send()
        assert set(Mirror(uri).place.listing()) == {"epoch_0002.safetensors", "state.pt"}
    assert not folder.exists()
    machine("another node")
    found = {}

    def fails():
        with runs.working_copy(uri) as (again, _):
            found.update({file.name: file.read_bytes() for file in again.iterdir()})
            raise RuntimeError("the training fails")

    with pytest.raises(RuntimeError, match="the training"):
        fails()
    assert found == {"state.pt": b"2", "epoch_0002.safetensors": b"2"}
    with runs.working_copy(uri) as (again, _):
        for file in again.iterdir():
            file.unlink()
        (again / "result.json").write_text("{}")
    assert set(Mirror(uri).place.listing()) == {"result.json"}


def test_a_new_run_is_refused_where_there_is_one(store, bucket, machine):
    run = runs.new_run(f"{bucket}/runs", "r")
    assert not run.path.exists()
    assert run.uri == run.place == f"{bucket}/runs/r"
    assert run.uri_of(run.path / "refit" / "c") == f"{bucket}/runs/r/refit/c"
    assert Mirror(f"{bucket}/runs").place.listing() == {}  # the probe is gone
    run.path.mkdir()
    run.settings_file.write_text("name: r\n")
    with pytest.raises(UserError, match=r"has not reached .*/runs yet: `fer-tune resume s3://.*/runs/r`"):
        runs.new_run(f"{bucket}/runs", "r")
    Mirror(f"{bucket}/runs/r").push()
    with pytest.raises(UserError, match=r"run r exists in .*: go on with it by `fer-tune resume s3://.*/runs/r`"):
        runs.new_run(f"{bucket}/runs", "r")
    Mirror(f"{bucket}/runs/r").place.delete("search.yaml")  # somebody removed it
    assert not runs.new_run(f"{bucket}/runs", "r").path.exists()
    with pytest.raises(UserError, match="no run there"):
        runs.open_run(f"{bucket}/runs/r")
    with pytest.raises(UserError, match="bucket right"):
        runs.new_run("s3://no-such-bucket-here/runs", "r")
    with pytest.raises(UserError, match="leave user and password out"):
        runs.open_run("s3://key:secret@bucket/runs/r")


def test_a_folder_is_left_alone(tmp_path, machine):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "search.yaml").write_text("name: r\n")
    run = runs.open_run(tmp_path / "r")
    assert runs.open_run(f"file://{tmp_path}/r") == run == RunFolder(tmp_path / "r")
    with runs.kept(run):
        pass
    assert runs.needed(run, tmp_path / "r" / "best.safetensors") == tmp_path / "r" / "best.safetensors"
    runs.refreshed(run, tmp_path / "r" / "refit")
    assert runs.tune_storage(run) == {"storage_path": str(tmp_path / "r")}
    assert (run.uri, run.uri_of(tmp_path / "r" / "refit"), run.place) == ("", "", str(tmp_path / "r"))
    assert [file.name for file in (tmp_path / "r").iterdir()] == ["search.yaml"]
    assert not (tmp_path / "here").exists()
