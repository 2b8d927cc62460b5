"""A process takes its share of a GPU's memory and no more."""

from __future__ import annotations

import pytest
import torch

from fer_tune.training.memory.gpu_share import hold_to_share


@pytest.mark.parametrize(
    ("gpus", "device", "expected"),
    [(0.25, "cuda", [0.25]), (1.0, "cuda", [1.0]), (2.0, "cuda:1", [1.0]), (0.0, "cuda", []), (0.5, "cpu", [])],
)
def test_the_share(monkeypatch, gpus, device, expected):
    held: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: held.append(share))
    hold_to_share(gpus, torch.device(device))
    assert held == expected


@pytest.mark.gpu
def test_what_goes_beyond_it_is_out_of_memory():
    device = torch.device("cuda")
    hold_to_share(0.01, device)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(torch.cuda.get_device_properties(device).total_memory // 50, dtype=torch.uint8, device=device)
    finally:
        hold_to_share(1.0, device)
