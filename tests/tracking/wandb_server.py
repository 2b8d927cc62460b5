"""Answers on loopback as W&B's server does, just far enough for runs with artifacts, for `wandb sync` and for views."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.history: dict[str, list[dict[str, Any]]] = {}  # run id -> rows that arrived
        self.exit_codes: dict[str, int] = {}
        self.operations: list[str] = []
        self.artifacts: dict[str, str] = {}  # name -> type, in the order they arrived
        self.used: list[str] = []  # names of the artifacts that a run uses
        self.uploads: list[bytes] = []  # what was put, files of runs and of artifacts
        self.views: list[dict[str, Any]] = []  # the variables of each view that was saved
        self.sweeps: dict[str, dict[str, Any]] = {}  # id -> config, place, state and prior runs, as they arrived
        self.takes_sweeps = True
        self.sweep_of: dict[str, str | None] = {}  # run id -> the sweep that it named, if any
        self.takes_pages = True
        self.projects = {"fer-tune"}
        self.key: str | None = None  # the one that is good; None: any is
        self.answering = threading.Event()  # cleared, it takes requests and says nothing
        self.answering.set()
        self.delay = 0.0  # seconds that every answer takes
        self.rate: float | None = None  # requests that it takes a second; it refuses the others with 429
        self.refused = 0
        self._room, self._asked = 1.0, time.monotonic()
        self._lock = threading.Lock()

    def takes(self) -> bool:
        """Return whether one more request is within the rate; one may be made at once, the next has to wait."""
        if self.rate is None:
            return True
        with self._lock:
            now = time.monotonic()
            self._room = min(1.0, self._room + self.rate * (now - self._asked))
            self._asked = now
            if self._room >= 1:
                self._room -= 1
                return True
            self.refused += 1
            return False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_PUT(self) -> None:
        self.server.uploads.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(b"")

    def do_POST(self) -> None:
        if "otel" in self.path:  # how W&B itself is doing
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(b"")
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        self.server.answering.wait()
        time.sleep(self.server.delay)
        if not self.server.takes():
            self.answer(b'{"error": "rate limit exceeded"}', 429)
            return
        if self.server.key is not None and self.key() != self.server.key:
            self.answer(b'{"errors": [{"message": "user is not logged in"}]}', 401)
            return
        if self.path == "/graphql":
            self.server.operations.append(body.get("operationName", ""))
            if "upsertSweep" in body["query"] and not self.server.takes_sweeps:
                self.answer(b'{"errors": [{"message": "no permission to make a sweep"}]}')
                return
            answer: Any = {"data": self.graphql(body["query"], body.get("variables") or {})}
        elif self.path.endswith("/file_stream"):
            self.stream(self.path.split("/")[-2], body)
            answer = {}
        else:
            answer = {}
        self.answer(json.dumps(answer).encode())

    def key(self) -> str:
        """Return the API key of a request: the password of its basic authentication."""
        return base64.b64decode(self.headers.get("Authorization", "").partition(" ")[2]).decode().partition(":")[2]

    def answer(self, data: bytes, status: int = 200) -> None:
        with suppress(OSError):  # nobody may be waiting for it any more
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        project = {"id": "p", "name": "fer-tune", "entity": {"id": "e", "name": "nobody"}}
        if "upsertBucket" in query:
            run = variables.get("name") or "run"
            self.server.sweep_of[run] = variables.get("sweep") or self.server.sweep_of.get(run)
            bucket = {"id": run, "name": run, "displayName": run, "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": {**bucket, "historyLineCount": 0}, "inserted": True}}
        if "upsertSweep" in query or "SweepWithRuns" in query:
            return self.sweep(variables)
        if "models(" in query:
            whole = {**project, "__typename": "Project", "entityName": "nobody", "isBenchmark": False, "user": None}
            nodes = [{**whole, "name": name, "createdAt": "2026-01-02T03:04:05"} for name in self.server.projects]
            last = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
            return {"models": {"pageInfo": last, "edges": [{"node": node} for node in nodes]}}
        if "model(" in query or "model (" in query:
            return {"model": {**project, "bucket": None}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.server.address}/upload"} for name in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}
        if "upsertView" in query:
            if variables["type"] == "runs" and not self.server.takes_pages:
                return {"upsertView": None}
            self.server.views.append(variables)
            told = {name: variables[name] for name in ("name", "type", "displayName", "description", "spec")}
            return {"upsertView": {"view": {"id": "view", **told, "project": project}, "inserted": True}}
        if "internalId" in query:
            return {"project": {"id": "p", "internalId": "cA=="}}
        if "project(" in query:
            whole = {**project, "__typename": "Project", "entityName": "nobody", "isBenchmark": False, "user": None}
            known = variables["name"] in self.server.projects
            return {"project": {**whole, "createdAt": "2026-01-02T03:04:05"} if known else None}
        if "rtifact" in query and "mutation" in query:
            return self.artifact(query, variables)
        return {"serverInfo": {"features": []}, "viewer": {"id": "v", "entity": "nobody", "flags": "{}"}}

    def sweep(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer what makes a sweep, asks for one, or changes its state; the id within GraphQL is not its name."""
        if (name := variables.get("sweep")) is not None:
            whole = {"id": f"id of {name}", "name": name, "state": self.server.sweeps[name]["state"]}
            return {"project": {"sweep": {**whole, "runs": {"edges": []}}}}
        if variables.get("id") is not None:
            name = variables["id"].removeprefix("id of ")
            self.server.sweeps[name]["state"] = variables["state"]
            return {"upsertSweep": {"sweep": {"name": name}}}
        name = f"sweep{len(self.server.sweeps) + 1}"
        self.server.sweeps[name] = {
            "config": yaml.safe_load(variables["config"]),
            "place": (variables["entityName"], variables["projectName"]),
            "state": "PENDING",
            "prior": json.loads(variables["priorRunsFilters"] or "null"),
        }
        project = {"id": "p", "name": variables["projectName"], "entity": {"id": "e", "name": "nobody"}}
        return {"upsertSweep": {"sweep": {"name": name, "project": project}, "configValidationWarnings": []}}

    def artifact(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer one of the steps by which an artifact arrives; its name is its id here."""
        given = variables.get("input") or {}
        place = {"uploadUrl": f"{self.server.address}/upload", "uploadHeaders": []}
        if "createArtifact(" in query:
            name = (given.get("artifactCollectionNames") or [given.get("artifactCollectionName")])[0]
            self.server.artifacts[name] = given["artifactTypeName"]
            sequence = {"id": name, "name": name, "latestArtifact": None}
            return {"createArtifact": {"artifact": {"id": name, "state": "PENDING", "artifactSequence": sequence}}}
        if "ArtifactManifest(" in query:
            step = "createArtifactManifest" if "createArtifactManifest(" in query else "updateArtifactManifest"
            file = {"id": "f", "name": "wandb_manifest.json", "displayName": "wandb_manifest.json", **place}
            return {step: {"artifactManifest": {"id": "m", "file": file}}}
        if "createArtifactFiles(" in query:
            edges = [
                {
                    "node": {
                        **{"id": "f", "name": file["name"], "displayName": file["name"], "storagePath": file["name"]},
                        **{"artifact": {"id": file["artifactID"]}, "uploadMultipartUrls": None, **place},
                    }
                }
                for file in given["artifactFiles"]
            ]
            return {"createArtifactFiles": {"files": {"edges": edges}}}
        if "useArtifact(" in query:
            self.server.used.append(given["artifactID"])
            return {"useArtifact": {"artifact": {"id": given["artifactID"], "digest": "d"}}}
        return {"commitArtifact": {"artifact": {"id": variables["artifactID"], "digest": "d"}}}

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
