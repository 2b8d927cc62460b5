"""Which numbers a GPU computes with, and that a CPU's are left alone."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from fer_tune.training.steps.precision import autocast, gpu_dtype, judging_dtype, set_up_gpu

GPU = torch.device("cuda")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((6, 0), None),
        ((7, 0), torch.float16),
        ((7, 5), torch.float16),
        ((8, 0), torch.bfloat16),
        ((9, 0), torch.bfloat16),
    ],
)
def test_auto_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert gpu_dtype("auto", GPU) == expected
    assert gpu_dtype("bf16", GPU) == torch.bfloat16
    assert gpu_dtype("fp32", GPU) is None
    assert gpu_dtype("fp16", GPU) == torch.float16
    assert [judging_dtype(asked, GPU) for asked in ("auto", "fp32")] == [expected, None]


def test_a_cpu_judges_in_float32_and_has_no_float16() -> None:
    cpu = torch.device("cpu")
    assert gpu_dtype("fp16", cpu) is None
    assert gpu_dtype("bf16", cpu) == torch.bfloat16
    assert {judging_dtype(asked, cpu) for asked in ("auto", "fp32", "bf16", "fp16")} == {None}


def test_autocast_computes_in_the_type() -> None:
    layer, x = nn.Linear(4, 4), torch.ones(1, 4)
    for dtype in (torch.bfloat16, None):
        with autocast(dtype, torch.device("cpu")):
            assert layer(x).dtype == (dtype or torch.float32)


@pytest.mark.parametrize(("device", "expected"), [("cpu", "highest"), ("cuda:0", "high")])
def test_a_gpu_computes_as_is_quickest_and_a_cpu_is_left_alone(device: str, expected: str) -> None:
    torch.set_float32_matmul_precision("highest")
    set_up_gpu(device)
    assert torch.get_float32_matmul_precision() == expected
