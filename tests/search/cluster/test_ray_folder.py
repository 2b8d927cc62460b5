"""Ray keeps its sockets where a socket can be made, whatever TMPDIR and other users have done."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fer_tune.errors import UserError
from fer_tune.search.cluster import ray_folder as module
from fer_tune.search.cluster.ray_folder import ray_folder


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for sockets, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="f", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_ray_s_own_choice_is_taken_where_it_works(monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(short))
    assert ray_folder() == short / "ray"
    assert list((short / "ray").iterdir()) == []  # nothing is left of the try
    monkeypatch.setenv("RAY_TMPDIR", str(short / "asked"))
    assert ray_folder() == short / "asked/ray"


def test_a_long_tmpdir_is_passed_over(monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(short / ("x" * 95)))
    assert len(os.fsencode(ray_folder())) + len(module.SOCKET) <= 107
    assert not ray_folder().is_relative_to(short)


@pytest.mark.parametrize("taken", ["by a file", "by another user", "by a disk that takes no sockets"])
def test_a_folder_that_cannot_be_used_is_passed_over(monkeypatch: pytest.MonkeyPatch, short: Path, taken: str) -> None:
    if taken == "by a file":
        (short / "ray").touch()
    elif taken == "by another user":
        (short / "ray").mkdir(mode=0o555)
        if os.geteuid() == 0:  # for whom the mode is nothing
            monkeypatch.setattr(module.tempfile, "mkdtemp", _refused_below(short))
    else:
        monkeypatch.setattr(module.socket.socket, "bind", _no_sockets_below(short))
    monkeypatch.setenv("TMPDIR", str(short))
    assert not ray_folder().is_relative_to(short)


def test_a_folder_that_is_asked_for_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(short / ("x" * 95)))
    with pytest.raises(UserError, match=r"x/ray \(a socket's path would have 1\d\d bytes.*RAY_TMPDIR.*at most 39 "):
        ray_folder()
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    (short / "ray").touch()
    with pytest.raises(UserError, match=r"/ray \(File exists\)"):
        ray_folder()


def _refused_below(folder: Path):  # type: ignore[no-untyped-def]
    made = tempfile.mkdtemp

    def mkdtemp(prefix: str, dir: Path) -> str:
        if dir.is_relative_to(folder):
            raise PermissionError(errno.EACCES, "Permission denied")
        return made(prefix=prefix, dir=dir)

    return mkdtemp


def _no_sockets_below(folder: Path):  # type: ignore[no-untyped-def]
    def bind(self: object, address: str) -> None:
        if address.startswith(str(folder)):
            raise OSError(errno.EIO, "Input/output error")

    return bind


PROGRAM = """
import ray
from fer_tune.search.cluster.ray_start import start_ray
start_ray(num_cpus=1)
print("answers", ray.get(ray.remote(lambda: 6 * 7).remote()))
"""

SMALL_SHM = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'


def answer(*before: str, **environment: str) -> str:
    done = subprocess.run(
        [*before, sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow  # each starts a Ray of its own
def test_a_ray_starts_with_a_long_tmpdir(short: Path) -> None:
    long = short / ("x" * 95)
    long.mkdir()
    assert "answers 42" in answer(TMPDIR=str(long))


@pytest.mark.slow
def test_a_ray_starts_with_little_shared_memory() -> None:
    """As in a container, which has 64 MB of it unless told."""
    here = ("unshare", "--mount", "sh", "-c")
    if shutil.which("unshare") is None or subprocess.run([*here, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    assert "answers 42" in answer(*here, SMALL_SHM, "sh")
