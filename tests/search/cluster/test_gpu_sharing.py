"""NVIDIA's service for sharing a GPU is started where trials share one, told to workers, and ended."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fer_tune.search.cluster import gpu_sharing as module
from fer_tune.search.cluster import ray_session
from fer_tune.search.cluster.gpu_sharing import gpu_sharing

CONTROL = """#!/bin/sh
if [ "$1" = -d ]; then
    echo "start $CUDA_MPS_PIPE_DIRECTORY" >> "$MPS_SAID"
    touch "$CUDA_MPS_PIPE_DIRECTORY/control"
    exit ${MPS_FAILS:-0}
fi
read word
echo "$word $CUDA_MPS_PIPE_DIRECTORY" >> "$MPS_SAID"
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the control program, whose words are in the file that this returns."""
    program = tmp_path / "bin" / "nvidia-cuda-mps-control"
    program.parent.mkdir()
    program.write_text(CONTROL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("MPS_SAID", str(tmp_path / "said"))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    monkeypatch.setattr(module, "_USUAL", tmp_path / "usual")
    monkeypatch.setattr(module, "_CLIENT", "import os; os.stat(os.environ['CUDA_MPS_PIPE_DIRECTORY'] + '/control')")
    (tmp_path / "said").touch()
    return tmp_path / "said"


def test_it_serves_for_the_length_of_the_block(said):
    seen: list[str] = []

    def interrupted() -> None:
        with gpu_sharing(0.25) as environment:
            seen.append(environment["CUDA_MPS_PIPE_DIRECTORY"])
            assert said.read_text() == f"start {seen[0]}\n"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (folder,) = seen
    assert len(folder) < 60  # a socket's path takes 108 bytes
    assert said.read_text() == f"start {folder}\nquit {folder}\n"
    assert not Path(folder).exists()
    assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ


@pytest.mark.parametrize("gpus", [None, 0.0, 1.0, 2.0])
def test_trials_that_share_no_gpu_need_none(said, gpus):
    with gpu_sharing(gpus) as environment:
        assert environment == {}
    assert said.read_text() == ""


@pytest.mark.parametrize("whose", ["the user's", "the machine's"])
def test_a_service_that_runs_is_used_and_left(said, monkeypatch, tmp_path, whose):
    if whose == "the user's":
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/somewhere")
    else:
        (tmp_path / "usual").mkdir()
        (tmp_path / "usual" / "control").touch()
    with gpu_sharing(0.5) as environment:
        assert environment == {}
    assert said.read_text() == ""


def test_where_it_does_not_start_trials_take_turns(said, monkeypatch, caplog):
    monkeypatch.setenv("MPS_FAILS", "1")
    with gpu_sharing(0.5) as environment:
        assert environment == {}
    assert "take turns: NVIDIA's MPS cannot be used here: it does not start (code 1)" in caplog.text
    assert "quit" in said.read_text()


def test_a_service_that_no_gpu_answers_through_is_ended(said, monkeypatch, caplog):
    """As in a container without the rights for it: each trial would fail."""
    monkeypatch.setattr(module, "_CLIENT", "import sys; sys.exit('connection failed')")
    with gpu_sharing(0.5) as environment:
        assert environment == {}
    assert "no GPU answers (connection failed)" in caplog.text
    assert "quit" in said.read_text()


def test_a_machine_without_it_is_told(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module, "_USUAL", tmp_path / "usual")
    with caplog.at_level(logging.WARNING), gpu_sharing(0.5) as environment:
        assert environment == {}
    assert "take turns: nvidia-cuda-mps-control is not installed" in caplog.text


def test_the_client_says_why_it_cannot():
    """The real one, on a machine without a GPU or with one."""
    done = subprocess.run([sys.executable, "-c", module._CLIENT], capture_output=True, text=True)
    assert done.returncode == 0 or done.stderr


def test_workers_of_a_session_are_told(said, monkeypatch):
    told: list[dict[str, str]] = []

    def init(**options: object) -> None:
        environment = options["runtime_env"]
        assert isinstance(environment, dict)
        told.append(environment["env_vars"])

    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_session, "start_ray", lambda **options: init(**options))
    monkeypatch.setattr(ray_session.ray, "shutdown", lambda: None)
    with ray_session.ray_session(gpus=0.25):
        assert Path(told[0]["CUDA_MPS_PIPE_DIRECTORY"], "control").exists()
    with ray_session.ray_session(gpus=1):
        assert "CUDA_MPS_PIPE_DIRECTORY" not in told[1]
    assert said.read_text().count("quit") == 1
