"""What the first epoch of a depthwise network waits for on a GPU: a minute at most.

`PYTHONPATH=. python3 tests/benchmarks/first_epoch.py`, with what `gpu.py` needs.  EfficientNet-Lite0, 112 px, batch 64,
one random batch: each way in a process of its own, for a process compiles once, all of them at the same time, for
compiling is the work of a core; and steady steps one way after the other.  Printed are the seconds of the first three
steps and of the first evaluation, and the milliseconds of a later step, launched kernel by kernel; of the first way
also what its first step spent the host's time on.  The ways:

* as is: bf16, channels last, cuDNN for all;
* native depthwise: PyTorch's own kernels for depthwise convolutions, forward and backward, cuDNN for the others;
* no cuDNN at all;
* channels first; float16; float32; float32 with native depthwise.

A way that fails, or has not come to its end after `SECONDS`, is named and does not stop the others.  Without a GPU it
runs once on next to nothing, which shows that it runs.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers import Conv2dSame, pad_same
from torch import Tensor, nn
from torch.nn import functional

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
QUICK = DEVICE.type == "cpu"
BACKBONE, SIDE, BATCH, STEADY = (
    ("tf_efficientnet_lite0", 112, 64, 50) if not QUICK else ("mobilenetv3_small_050", 32, 4, 1)
)
SECONDS = 55.0 if not QUICK else 300.0  # a busy machine without a GPU is slow
WAYS: dict[str, dict[str, Any]] = {
    "as is": {},
    "native depthwise": {"native": True},
    "no cuDNN": {"cudnn": False},
    "channels first": {"last": False},
    "float16": {"dtype": "float16"},
    "float32": {"dtype": "float32"},
    "float32, native depthwise": {"dtype": "float32", "native": True},
}


class _Native(torch.autograd.Function):
    """A convolution without cuDNN, forward and backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: list[int], padding: list[int], groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = stride, padding, groups
        with torch.backends.cudnn.flags(enabled=False):
            return functional.conv2d(x, weight, None, stride, padding, 1, groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, groups = ctx.how
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        how: tuple[Any, ...] = (None, stride, padding, [1, 1], False, [0, 0], groups, wanted)
        with torch.backends.cudnn.flags(enabled=False):
            of_x, of_weight, _ = torch.ops.aten.convolution_backward(gradient, x, weight, *how)
        return of_x, of_weight, None, None, None


def make_native(model: nn.Module) -> int:
    """Have the depthwise convolutions of ``model`` computed without cuDNN; return how many there are."""
    found = 0
    for module in model.modules():
        if not isinstance(module, nn.Conv2d) or module.groups != module.in_channels or module.bias is not None:
            continue
        found += 1

        def forward(x: Tensor, conv: nn.Conv2d = module) -> Tensor:
            if isinstance(conv, Conv2dSame):  # pads as TensorFlow does, before the convolution
                x = pad_same(x, list(conv.kernel_size), list(conv.stride), list(conv.dilation))
            weight = conv.weight
            if torch.is_autocast_enabled(x.device.type):
                dtype = torch.get_autocast_dtype(x.device.type)
                x, weight = x.to(dtype), weight.to(dtype)
            return _Native.apply(x, weight, [*conv.stride], [*conv.padding], conv.groups)  # type: ignore[no-any-return]

        module.forward = forward  # type: ignore[method-assign]
    return found


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], Any]) -> float:
    wait()
    began = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - began


def one(name: str, lock: str) -> dict[str, Any]:
    """Take the figures of a way, in this process."""
    way = WAYS[name]
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.enabled = way.get("cudnn", True)
    layout = torch.channels_last if way.get("last", True) else torch.contiguous_format
    dtype = getattr(torch, way.get("dtype", "bfloat16"))
    model = timm.create_model(BACKBONE, num_classes=7, in_chans=1).to(DEVICE, memory_format=layout).train()
    replaced = make_native(model) if way.get("native") else 0
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    images = torch.randn(BATCH, 1, SIDE, SIDE, device=DEVICE).contiguous(memory_format=layout)
    labels = torch.randint(0, 7, (BATCH,), device=DEVICE)

    def forward() -> Tensor:
        with torch.autocast(DEVICE.type, dtype, enabled=dtype != torch.float32):
            logits: Tensor = model(images)
        return logits.float()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(forward(), labels).backward()
        optimizer.step()

    found: dict[str, Any] = {"replaced": replaced}
    if way:
        first = seconds(step)
    else:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
            first = seconds(step)
        rows = sorted(profile.key_averages(group_by_input_shape=True), key=lambda row: -row.self_cpu_time_total)[:8]
        found["host"] = [
            f"{row.self_cpu_time_total / 1e6:7.2f} s {row.count:4} {row.key} {str(row.input_shapes)[:60]}"
            for row in rows
        ]
    found["steps"] = [first, *(seconds(step) for _ in range(2))]
    model.eval()
    with torch.no_grad():
        found["evaluation"] = seconds(forward)
    model.train()
    with Path(lock).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the others are compiling, or wait
        found["steady"] = seconds(lambda: [step() for _ in range(STEADY)]) / STEADY
    return found


def main() -> int:
    where = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU, says nothing"
    print(f"{where}, PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}; {BACKBONE} {SIDE}, {BATCH}")
    print(f"{'way':28}{'first steps, s':>24}{'evaluation, s':>15}{'later step, ms':>16}")
    ended, until = 0, time.monotonic() + SECONDS
    with tempfile.TemporaryDirectory() as folder:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running = {
            name: subprocess.Popen([sys.executable, __file__, "--one", name, str(Path(folder) / "lock")], **pipes)
            for name in WAYS
        }
        for name, process in running.items():
            try:
                out, err = process.communicate(timeout=max(0.1, until - time.monotonic()))
                found = json.loads(out.splitlines()[-1])
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                print(f"{name:28}no end after {SECONDS:.0f} s", flush=True)
                continue
            except (ValueError, IndexError):
                print(f"{name:28}failed: {(err.strip().splitlines() or ['?'])[-1][:120]}", flush=True)
                continue
            ended += 1
            steps = ", ".join(f"{lap:.2f}" for lap in found["steps"])
            print(f"{name:28}{steps:>24}{found['evaluation']:15.2f}{1e3 * found['steady']:16.2f}", flush=True)
            for line in found.get("host", ()):
                print(f"    {line}", flush=True)
            if WAYS[name].get("native"):
                print(f"    {found['replaced']} depthwise convolutions", flush=True)
    return 0 if ended else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(*sys.argv[2:4])))
    else:
        sys.exit(main())
