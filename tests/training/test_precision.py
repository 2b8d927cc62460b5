"""`precision: auto` takes bf16 where it is quicker."""

import pytest
import torch
from torch import nn

from fer_tune.training.precision import autocast, mixed_dtype

DENSE = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3, groups=4), nn.Conv2d(1, 8, 3))
DEPTHWISE = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, groups=8))


@pytest.mark.parametrize(
    ("amx", "model", "expected"), [(True, DENSE, torch.bfloat16), (True, DEPTHWISE, None), (False, DENSE, None)]
)
def test_auto_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, amx: bool, model: nn.Module, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert mixed_dtype("auto", torch.device("cpu"), model) == expected


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), None), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_auto_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert mixed_dtype("auto", torch.device("cuda"), DEPTHWISE) == expected


def test_what_is_asked_for_is_taken() -> None:
    cpu = torch.device("cpu")
    assert mixed_dtype("bf16", cpu, DEPTHWISE) == torch.bfloat16
    assert mixed_dtype("fp32", cpu, DENSE) is None


def test_autocast_computes_in_the_type() -> None:
    layer, x = nn.Linear(4, 4), torch.ones(1, 4)
    for dtype in (torch.bfloat16, None):
        with autocast(dtype, torch.device("cpu")):
            assert layer(x).dtype == (dtype or torch.float32)
