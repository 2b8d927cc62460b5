"""Which numbers a GPU computes with, and that a CPU's are left alone."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from fer_tune.training.steps.precision import autocast, gpu_dtype, set_up_gpu

GPU = torch.device("cuda")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before, measured = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    yield
    torch.backends.cudnn.benchmark = measured
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), None), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_auto_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert gpu_dtype("auto", GPU) == expected
    assert gpu_dtype("bf16", GPU) == torch.bfloat16
    assert gpu_dtype("fp32", GPU) is None


def test_autocast_computes_in_the_type() -> None:
    layer, x = nn.Linear(4, 4), torch.ones(1, 4)
    for dtype in (torch.bfloat16, None):
        with autocast(dtype, torch.device("cpu")):
            assert layer(x).dtype == (dtype or torch.float32)


@pytest.mark.parametrize(("device", "expected"), [("cpu", "highest"), ("cuda:0", "high")])
def test_a_gpu_computes_as_is_quickest_and_a_cpu_is_left_alone(device: str, expected: str) -> None:
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.benchmark = False
    set_up_gpu(device)
    assert torch.get_float32_matmul_precision() == expected
    assert torch.backends.cudnn.benchmark == (device != "cpu")
