import errno
import os
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import fsspec
import numpy as np
import pytest
from drawing import tiny_dataset
from pyarrow import fs

from fer_tune.data.prepared import remote
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError

URI = "memory://bucket/tiny"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A prepared dataset in a filesystem of this process; counts how often each of its files is opened."""
    tiny_dataset(tmp_path / "tiny", n_train=70, n_val=14, n_test=14, size=12)
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.put(f"{tmp_path / 'tiny'}/", "/bucket/tiny/", recursive=True)
    opened = []
    open_file = type(memory)._open

    def counting(self, path, mode="rb", **more):
        opened.append(Path(path).name)
        return open_file(self, path, mode, **more)

    monkeypatch.setattr(type(memory), "_open", counting)
    yield memory, opened
    memory.rm("/bucket", recursive=True)


def cached(tmp_path):
    """The datasets in the cache; nothing half-fetched may stand beside them."""
    entries = [entry for entry in (tmp_path / "cache").iterdir() if entry.suffix != ".lock"]
    assert not [entry for entry in entries if entry.name.startswith(".")]
    return entries


def test_a_uri_is_fetched_once_and_opened_as_the_folder_is(store, tmp_path):
    data = PreparedDataset.open(URI)
    here = PreparedDataset.open(tmp_path / "tiny")
    np.testing.assert_array_equal(data.train().images, here.train().images)
    assert data.open_test().sources == here.open_test().sources
    assert (data.card, data.location) == (here.card, f"{URI}#{here.card.content_hash}")
    assert data.path == cached(tmp_path)[0]
    assert data.path.name == f"tiny-{here.card.content_hash[:16]}"
    PreparedDataset.open(Path(URI))  # pathlib leaves one slash out
    PreparedDataset.open(f"{URI}/")
    assert sorted(store[1]) == ["dataset.json"] * 3 + ["test.arrow", "train.arrow", "val.arrow"]


def test_a_file_uri_is_mapped_where_it_is(tmp_path):
    tiny_dataset(tmp_path / "tiny", n_train=7, n_val=7, n_test=7)
    for text in (f"file://{tmp_path / 'tiny'}", f"file:{tmp_path / 'tiny'}", str(tmp_path / "tiny")):
        data = PreparedDataset.open(text)
        assert data.path == tmp_path / "tiny"
        assert data.location == str(tmp_path / "tiny")


def test_a_dataset_that_was_replaced_is_fetched_anew(store, tmp_path):
    first = PreparedDataset.open(URI)
    tiny_dataset(tmp_path / "other", n_train=70, n_val=14, n_test=14, size=12, seed=1)
    store[0].rm("/bucket/tiny", recursive=True)
    store[0].put(f"{tmp_path / 'other'}/", "/bucket/tiny/", recursive=True)
    second = PreparedDataset.open(URI)
    assert first.path != second.path
    assert len(cached(tmp_path)) == 2
    first.verify(), second.verify()


def test_a_location_stands_for_one_content_and_needs_no_network_again(store, tmp_path):
    first = PreparedDataset.open(URI)
    tiny_dataset(tmp_path / "other", n_train=70, n_val=14, n_test=14, size=12, seed=1)
    store[0].rm("/bucket/tiny", recursive=True)
    with pytest.raises(UserError, match=r"no dataset\.json there"):
        PreparedDataset.open(URI)
    again = PreparedDataset.open(first.location)
    assert (again.path, again.location) == (first.path, first.location)
    shutil.rmtree(first.path)
    store[0].put(f"{tmp_path / 'other'}/", "/bucket/tiny/", recursive=True)
    with pytest.raises(UserError, match=rf"{URI}: its content was replaced since this run began"):
        PreparedDataset.open(first.location)


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A prepared dataset at s3://bucket/tiny, where the bucket is a folder that pyarrow reads."""
    tiny_dataset(tmp_path / "bucket" / "tiny", n_train=7, n_val=7, n_test=7)
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "cache"))
    folder = fs.SubTreeFileSystem(str(tmp_path / "bucket"), fs.LocalFileSystem())
    monkeypatch.setattr(remote, "filesystem_of", lambda uri: (folder, uri.removeprefix("s3://bucket/")))
    return "s3://bucket/tiny"


def test_filesystems_of_pyarrow_serve_as_those_of_fsspec_do(bucket, tmp_path):
    data = PreparedDataset.open(bucket)
    data.verify()
    assert data.path.parent == tmp_path / "cache"
    assert data.location.startswith(f"{bucket}#")


def test_schemes_of_pyarrow_are_asked_of_pyarrow():
    with pytest.raises(UserError, match=r"mock:///bucket/tiny: no dataset\.json there"):  # it starts out empty
        PreparedDataset.open("mock:///bucket/tiny")


def test_trials_of_a_machine_wait_for_the_one_that_fetches(bucket, tmp_path, monkeypatch):
    found, fetched, ready = [], [], threading.Barrier(6)
    fetch = remote._fetch
    monkeypatch.setattr(remote, "_fetch", lambda *arguments: (fetched.append(1), time.sleep(0.2), fetch(*arguments)))

    def trial():
        ready.wait()
        found.append(PreparedDataset.open(bucket).path)

    threads = [threading.Thread(target=trial) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert set(found) == set(cached(tmp_path))
    assert fetched == [1]


@pytest.mark.parametrize("name", ["train.arrow", "test.arrow"])
def test_what_was_damaged_on_the_way_is_refused_and_not_kept(store, tmp_path, name):
    memory = store[0]
    content = bytearray(memory.cat(f"/bucket/tiny/{name}"))
    content[len(content) // 2] ^= 0xFF
    memory.pipe(f"/bucket/tiny/{name}", bytes(content))
    with pytest.raises(UserError, match=rf"^{URI}: what was fetched is damaged.*{name}"):
        PreparedDataset.open(URI)
    assert cached(tmp_path) == []


def test_a_file_that_is_missing_there(store, tmp_path):
    store[0].rm("/bucket/tiny/val.arrow")
    with pytest.raises(UserError, match=rf"{URI}/val\.arrow: cannot be read"):
        PreparedDataset.open(URI)
    assert cached(tmp_path) == []


def test_a_truncated_cache_is_fetched_again(store, tmp_path):
    path = PreparedDataset.open(URI).path
    (path / "train.arrow").write_bytes(b"x")
    PreparedDataset.open(URI).verify()
    shutil.rmtree(path)
    PreparedDataset.open(URI).verify()
    assert store[1].count("train.arrow") == 3


def test_what_is_no_dataset(store):
    with pytest.raises(UserError, match=r"memory://bucket/nowhere: no dataset\.json there; a prepared dataset holds"):
        PreparedDataset.open("memory://bucket/nowhere")
    store[0].pipe("/bucket/tiny/dataset.json", b'{"format_version": 99}')
    with pytest.raises(UserError, match=r"memory://bucket/tiny/dataset\.json: written in format 99 by a newer"):
        PreparedDataset.open(URI)


def test_unknown_schemes_say_what_works():
    with pytest.raises(UserError, match=r"nothing here reads gopher://.*s3, gs, abfss and hdfs work"):
        PreparedDataset.open("gopher://bucket/tiny")


def test_a_cache_that_cannot_be_written(store, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(
        UserError, match=r"file/cache: memory://.* cannot be kept there: Not a directory.*FER_TUNE_CACHE"
    ):
        PreparedDataset.open(URI)


def test_the_cache_is_where_caches_are(monkeypatch, tmp_path):
    monkeypatch.delenv("FER_TUNE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert remote.cache_folder() == tmp_path / "fer_tune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert remote.cache_folder() == Path.home() / ".cache" / "fer_tune"


def test_a_folder_that_this_machine_does_not_see(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder on .*every node must see it.*s3://bucket/folder"):
        PreparedDataset.open(tmp_path / "nowhere")


class Lost:
    """An open file of a store that is gone after its first bytes."""

    def __init__(self) -> None:
        self._chunks = [b"some of it"]

    def __enter__(self) -> "Lost":
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def read(self, size: int) -> bytes:
        if not self._chunks:
            raise OSError(5, "Connection reset by peer")
        return self._chunks.pop()


def test_a_connection_that_is_lost_is_not_taken_for_a_full_disk(store, tmp_path, monkeypatch):
    filesystem_of = remote.filesystem_of

    class Losing:
        def __init__(self, filesystem) -> None:
            self._filesystem = filesystem

        def open_input_stream(self, path):
            return Lost() if path.endswith("val.arrow") else self._filesystem.open_input_stream(path)

    def losing(uri):
        filesystem, path = filesystem_of(uri)
        return Losing(filesystem), path

    monkeypatch.setattr(remote, "filesystem_of", losing)
    with pytest.raises(UserError, match=rf"^{URI}/val\.arrow: cannot be reached: .*Connection reset by peer$"):
        PreparedDataset.open(URI)
    assert cached(tmp_path) == []


def test_a_full_disk_is_told_as_one(store, tmp_path, monkeypatch):
    chunks = remote.chunks

    def filling(source, uri):
        yield from chunks(source, uri)
        if uri.endswith("val.arrow"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write does

    monkeypatch.setattr(remote, "chunks", filling)
    with pytest.raises(UserError, match=rf"cache: {URI} cannot be kept there: No space left on device; free some"):
        PreparedDataset.open(URI)
    assert cached(tmp_path) == []


class Busy(BaseHTTPRequestHandler):
    """A store that asks for patience twice, as S3 does of many nodes at once, and then answers."""

    asked = 0

    def do_HEAD(self) -> None:
        type(self).asked += 1
        self.send_response(503 if self.asked < 3 else 200)
        self.send_header("Content-Length", "7")
        self.send_header("Last-Modified", "Mon, 02 Jan 2023 03:04:05 GMT")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


def test_a_busy_store_is_asked_again(monkeypatch):
    monkeypatch.setattr(Busy, "asked", 0)
    server = HTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    where = f"scheme=http&region=us-east-1&endpoint_override=127.0.0.1:{server.server_port}"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    try:
        filesystem, path = remote.filesystem_of(f"s3://bucket/x?{where}")
        assert filesystem.get_file_info(path).size == 7
        assert Busy.asked == 3
    finally:
        server.shutdown()


def test_googles_storage_gives_up_in_time(monkeypatch):
    monkeypatch.setattr(remote, "_SECONDS", 0.5)
    began = time.monotonic()
    filesystem, path = remote.filesystem_of("gs://anonymous@bucket/x?scheme=http&endpoint_override=127.0.0.1:9")
    with pytest.raises(OSError, match="connect"):
        filesystem.get_file_info(path)
    assert time.monotonic() - began < 30
