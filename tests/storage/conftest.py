"""A store that speaks S3, on this machine; it can be stopped and started again with what is in it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator

import pytest


class Store:
    """A moto server with one bucket.

    Attributes:
        environment: what a process needs to find it.
    """

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._port = 0
        self.start()
        self.environment = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()
        self._port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def one_store() -> Iterator[Store]:
    store = Store()
    yield store
    store.stop()


@pytest.fixture
def store(one_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Store:
    """The server, which this process reaches too; its cache of runs is one of the test's own."""
    for name, value in one_store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FER_TUNE_CACHE", str(tmp_path / "cache"))
    return one_store


@pytest.fixture
def bucket(store: Store) -> str:
    """The URI of a new bucket."""
    from pyarrow import fs

    name = f"runs-{uuid.uuid4().hex[:12]}"
    fs.FileSystem.from_uri(f"s3://{name}/?allow_bucket_creation=true")[0].create_dir(name)
    return f"s3://{name}"
