"""Time and peak memory of a training step against freeze depth: both must fall with every frozen stage.

`make bench`, or `python tests/benchmarks/freeze.py [backbone] [batch size] [image size]`. On a GPU the memory is the
highest that the device's allocator handed out in a step; on a CPU it is what autograd keeps between the forward and
the backward pass, each storage once, without the weights. Seconds are the median of several steps.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch
from torch import nn

from fer_tune.config import TrialConfig
from fer_tune.models import backbone_stages, create_model, freeze
from fer_tune.models.memory import kept_bytes
from fer_tune.training.learning.optimisers import build_optimizer

STEPS = 7


class Step:
    """One training step of a backbone with its first ``depth`` stages frozen."""

    def __init__(self, backbone: str, depth: int, batch_size: int, image_size: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.device = device
        self.model = create_model(backbone, num_classes=7, in_chans=1, image_size=image_size)
        self.model.to(device, memory_format=torch.channels_last).train()
        for norm in freeze(self.model, depth):
            norm.eval()
        config = TrialConfig(backbone=backbone, epochs=1, freeze_depth=depth, optimizer="adamw", learning_rate=1e-4)
        self.optimizer = build_optimizer(self.model, config)
        self.images = torch.rand(batch_size, 1, image_size, image_size, device=device)
        self.labels = torch.randint(7, (batch_size,), device=device)

    def __call__(self) -> None:
        loss = nn.functional.cross_entropy(self.model(self.images), self.labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def seconds(self) -> float:
        """Median over some steps, after two to warm up."""
        taken = []
        for _ in range(STEPS + 2):
            self._wait()
            began = time.perf_counter()
            self()
            self._wait()
            taken.append(time.perf_counter() - began)
        return statistics.median(taken[2:])

    def mebibytes(self) -> float:
        """Return the peak of a step on a GPU, or what autograd keeps on a CPU."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self()
            return torch.cuda.max_memory_allocated() / 2**20
        return kept_bytes(self.model, self.images) / 2**20

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    backbone = sys.argv[1] if len(sys.argv) > 1 else "resnet18"
    batch_size = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    image_size = int(sys.argv[3]) if len(sys.argv) > 3 else 48
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    what = "peak MiB" if device.type == "cuda" else "kept MiB"
    print(f"{backbone}, {batch_size} images of {image_size}x{image_size}, {device.type}")
    print(f"{'freeze depth':12} {'freezes also':28} {'ms a step':>10} {'to depth 0':>10} {what:>10} {'to depth 0':>10}")
    names = ["nothing", *(stage.name for stage in backbone_stages(backbone))]
    first: tuple[float, float] | None = None
    for depth, name in enumerate(names):
        step = Step(backbone, depth, batch_size, image_size, device)
        seconds, memory = step.seconds(), step.mebibytes()
        first = first or (seconds, memory)
        ratios = seconds / first[0], memory / first[1]
        print(f"{depth:12d} {name:28} {1e3 * seconds:10.1f} {ratios[0]:10.2f} {memory:10.1f} {ratios[1]:10.2f}")


if __name__ == "__main__":
    main()
