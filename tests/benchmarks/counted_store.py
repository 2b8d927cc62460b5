"""A store that speaks S3, in a process of its own, which counts what is asked of it and answers as late as it is told.

``/_counts`` tells and forgets the requests since the last call; ``/_latency/0.03`` has every answer wait for 0.03 s.
"""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

PARTS = {
    "Tune's snapshots": r"(experiment_state|searcher-state|search_gen_state|callback-states|tuner\.pkl|trainable\.pkl)",
    "checkpoints": r"checkpoint_\d+",
    "Ray's mark of the storage": r"\.validate_storage_marker",
    "the rest of Tune's folder": r"/tune/",
}


class CountedStore:
    """What a benchmark sees of the store."""

    def __init__(self, port: int) -> None:
        self.environment = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._address = f"http://127.0.0.1:{port}"

    def counts(self) -> list[tuple[str, str, int, int]]:
        """Return (part of the run folder, method, requests, bytes sent) since the last call."""
        with urllib.request.urlopen(f"{self._address}/_counts") as answer:
            return [tuple(row) for row in json.load(answer)]

    def answer_after(self, seconds: float) -> None:
        """Have every answer wait."""
        urllib.request.urlopen(f"{self._address}/_latency/{seconds}").close()


@contextmanager
def counted_store() -> Iterator[CountedStore]:
    """Run the store."""
    process = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield CountedStore(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


class _Counting:
    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application, self._latency, self._lock = application, 0.0, threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        if path == "/_counts":
            with self._lock:
                told = [(*key, number, self._bytes[key]) for key, number in self._requests.items()]
                self._requests.clear()
                self._bytes.clear()
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(told).encode()]
        if path.startswith("/_latency/"):
            self._latency = float(path.removeprefix("/_latency/"))
            start_response("200 OK", [])
            return []
        time.sleep(self._latency)
        method, size = environ["REQUEST_METHOD"], int(environ.get("CONTENT_LENGTH") or 0)
        sent = int(environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH") or size)
        about = f"{path}?{unquote(query)}"
        if method == "POST" and "delete" in query:  # names what it removes in its body
            body = environ["wsgi.input"].read(size)
            environ["wsgi.input"] = io.BytesIO(body)
            about += body.decode(errors="replace")
        elif method == "GET" and "list-type" in query:
            method = "LIST"
        part = next((name for name, pattern in PARTS.items() if re.search(pattern, about)), "the rest of the run")
        with self._lock:
            self._requests[part, method] += 1
            self._bytes[part, method] += sent
        return self._application(environ, start_response)


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = _Counting(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if sys.argv[1:] == ["serve"]:  # `make bench` starts every file of this folder
    main()
