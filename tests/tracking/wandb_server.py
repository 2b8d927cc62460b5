"""Answers on loopback as W&B's server does, just far enough for `wandb.init`, `log` and `finish` in online mode."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.history: dict[str, list[dict[str, Any]]] = {}  # run id -> rows that arrived
        self.exit_codes: dict[str, int] = {}
        self.operations: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b"")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        if self.path == "/graphql":
            self.server.operations.append(body.get("operationName", ""))
            answer: Any = {"data": self.graphql(body["query"], body.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            self.stream(self.path.split("/")[-2], body)
            answer = {}
        else:
            answer = {}
        self.answer(json.dumps(answer).encode())

    def answer(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "p", "name": "fer-tune", "entity": {"id": "e", "name": "nobody"}}
        if "upsertBucket" in query:
            run = variables.get("name") or "run"
            bucket = {"id": run, "name": run, "displayName": run, "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}
        if "model(" in query or "model (" in query:
            return {"model": {**project, "bucket": None}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.server.address}/upload"} for name in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}
        return {"serverInfo": {"features": []}, "viewer": {"id": "v", "entity": "nobody", "flags": "{}"}}

    def stream(self, run: str, body: dict[str, Any]) -> None:
        for name, chunk in (body.get("files") or {}).items():
            if name == "wandb-history.jsonl":
                self.server.history.setdefault(run, []).extend(json.loads(line) for line in chunk["content"])
        if body.get("complete"):
            self.server.exit_codes[run] = body.get("exitcode", 0)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
