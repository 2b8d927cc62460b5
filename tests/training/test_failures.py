"""Failures: which pass and are tried again, which are told at once; one worker's and a group's."""

from __future__ import annotations

import doctest
import errno
from typing import Any

import pyarrow.fs
import pytest
import ray.train
import torch
import torch.distributed as dist
from ray.train import WorkerGroupError

from fer_tune.errors import UserError
from fer_tune.training import failures, ray_worker
from fer_tune.training.failures import gravest, verdict
from fer_tune.training.ray_worker import TrialSetup, run_trial

EIO = OSError(errno.EIO, "Input/output error")
NCCL = dist.DistBackendError("NCCL error: unhandled system error")
FULL = torch.OutOfMemoryError("CUDA out of memory")


def test_the_examples_of_the_documentation_run() -> None:
    assert doctest.testmod(failures) == (0, 2)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (UserError("no such weights"), "permanent"),
        (ValueError("settings"), "permanent"),
        (TypeError("settings"), "permanent"),
        (FULL, "permanent"),
        (OSError(errno.ENOSPC, "No space left on device"), "permanent"),
        (PermissionError(errno.EACCES, "Permission denied"), "permanent"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "permanent"),
        (EIO, "passing"),
        (OSError(errno.ESTALE, "Stale file handle"), "passing"),
        (OSError("When reading: AWS Error NETWORK_CONNECTION"), "passing"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "passing"),
        (TimeoutError("timed out"), "passing"),
        (NCCL, "passing"),
        (torch.AcceleratorError("an illegal memory access was encountered"), "passing"),
        (RuntimeError("CUDA error: unspecified launch failure"), "passing"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "passing"),
        (RuntimeError("[gloo] Connection closed by peer"), "passing"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "doubtful"),
        (KeyError("a process of Ray"), "passing"),  # Tune counts
    ],
)
def test_what_passes_is_told_from_what_strikes_again(error: Exception, found: str) -> None:
    assert verdict(error) == found


def test_of_a_group_the_cause_decides() -> None:
    """A worker without memory takes the others with it, whose connections break."""
    assert gravest([NCCL, FULL, NCCL]) is FULL
    assert gravest([NCCL, EIO]) is NCCL


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch, tmp_path) -> list[dict[str, Any]]:
    """What a trial reports to Tune; its folder is ``tmp_path``."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(ray_worker.tune, "report", seen.append)
    monkeypatch.setattr(ray_worker, "TuneReportCallback", ray.train.UserCallback)  # Ray's asks for a real trial
    monkeypatch.setattr(ray_worker, "trial_storage", lambda: (str(tmp_path / "trial"), pyarrow.fs.LocalFileSystem()))
    return seen


def attempt(monkeypatch: pytest.MonkeyPatch, error: Exception, workers: int = 1) -> dict[str, Any]:
    """Run a trial whose training raises ``error``; return what Ray Train's trainer was asked for."""
    asked: dict[str, Any] = {}

    class Trainer:
        def __init__(self, worker: Any, **options: Any) -> None:
            asked.update(options)

        def fit(self) -> None:
            raise error

    monkeypatch.setattr(ray_worker, "TorchTrainer", Trainer)
    run_trial({"backbone": "cnn_simpler", "epochs": 1}, TrialSetup("d", 1, 0, workers))
    return asked


@pytest.mark.parametrize("error", [EIO, NCCL, RuntimeError("CUDA error: unspecified launch failure")])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_passes_is_raised_for_tune_to_try_again(monkeypatch, reported, error, workers) -> None:
    raised = error if workers == 1 else WorkerGroupError("two workers", {0: error, 1: error})
    for _ in range(3):
        with pytest.raises(type(raised)):
            attempt(monkeypatch, raised, workers)
    assert reported == []


def test_what_strikes_again_ends_the_trial_with_its_reason(monkeypatch, reported) -> None:
    attempt(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    (result,) = reported
    assert result["finished"]
    assert "No space left on device" in result["error"]


def test_what_may_do_either_is_tried_once_more(monkeypatch, reported) -> None:
    with pytest.raises(RuntimeError):
        attempt(monkeypatch, RuntimeError("mat1 and mat2"))
    attempt(monkeypatch, RuntimeError("mat1 and mat2"))
    assert [result["error"] for result in reported] == ["RuntimeError: mat1 and mat2"]


def test_a_lasting_error_in_a_group_ends_the_trial_at_once(monkeypatch, reported) -> None:
    asked = attempt(monkeypatch, WorkerGroupError("two workers", {0: NCCL, 1: FULL}), workers=2)
    assert asked["run_config"].failure_config.max_failures == 0  # Ray Train does not try it again by itself
    assert [result["error"].startswith("out of memory at batch_size") for result in reported] == [True]
