from __future__ import annotations

import pytest
import torch

from fer_tune.config import TrialConfig
from fer_tune.training import loop
from fer_tune.training.memory.lack_of_memory import lack_of_memory_named
from fer_tune.training.steps.step import Step


def too_much(*_: object) -> torch.Tensor:
    return torch.empty(2**58, dtype=torch.uint8)  # no machine has it, so nothing is taken


def test_a_full_cpu_is_out_of_memory_and_other_errors_are_what_they_are():
    with pytest.raises(RuntimeError) as plain:
        too_much()
    assert not isinstance(plain.value, torch.OutOfMemoryError)  # else this module could go
    with pytest.raises(torch.OutOfMemoryError, match="DefaultCPUAllocator"), lack_of_memory_named():
        too_much()
    with pytest.raises(torch.OutOfMemoryError, match="no memory left"), lack_of_memory_named():
        raise MemoryError
    with pytest.raises(RuntimeError, match="shapes") as other, lack_of_memory_named():
        raise RuntimeError("shapes do not fit")
    assert not isinstance(other.value, torch.OutOfMemoryError)


def test_a_training_that_finds_no_memory_says_so(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Step, "__call__", too_much)
    with pytest.raises(torch.OutOfMemoryError):
        loop.train(TrialConfig(backbone="cnn_simpler", epochs=1), tiny, tmp_path)
