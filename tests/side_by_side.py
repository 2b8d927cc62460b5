"""How tests are shared among parallel processes: what needs Ray in one of them, of the others a file at a time.

So there is one Ray, whose daemons come up in time, and the fixtures of a module are set up once.  ``--dist loadgroup``
of pytest-xdist 3.8 does nothing with pytest 9.2 (https://github.com/pytest-dev/pytest-xdist/issues/1386): it hands the
groups on in the names of tests, which can no longer be changed.  A scheduler of one's own is part of its interface.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

RAY = "ray"


@functools.cache
def scope_of(file: Path) -> str:
    """Return with which tests those of ``file`` share a process: `RAY`, or its own name.

    A file needs Ray where its text names the fixture ``ray_local``: the process that shares out collects nothing.  A
    fixture of another file that asks for Ray is not seen so; it starts a second Ray, and `OneRay` fails the session.
    """
    return RAY if re.search(r"\bray_local\b", file.read_text(encoding="utf-8")) else str(file)


class SideBySide(LoadScopeScheduling):
    """Hands out first what needs Ray, as it takes longest; then the other files, those with the most tests first."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(self.config.rootpath / nodeid.partition("::")[0])

    def _assign_work_unit(self, node: Any) -> None:
        if RAY in self.workqueue:
            self.workqueue.move_to_end(RAY, last=False)
        super()._assign_work_unit(node)


class OneRay:
    """A plugin: fails a session in which more than one process started a Ray."""

    def __init__(self) -> None:
        self.started_in: list[str] = []

    @staticmethod
    def started(config: pytest.Config) -> None:
        """Note that this process starts a Ray."""
        if hasattr(config, "workeroutput"):  # of a parallel process, for the one that shares out
            config.workeroutput[RAY] = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        if getattr(node, "workeroutput", {}).get(RAY):
            self.started_in.append(node.gateway.id)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if len(self.started_in) > 1:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            print(f"\n{len(self.started_in)} processes started a Ray; tests/side_by_side.py says how to keep it to one")
