"""What the trainer costs beyond the model's own arithmetic, and what it gains on the code one would write first.

On an idle machine: `make bench`, or `python tests/benchmarks/training.py [IMAGES] [BACKBONE ...]`; with a network
that takes thousands of images a second say 6000, or the epoch is over in half a second.  It prints images per second of
training at 48 px, batch 64, on drawn faces, and ratios between patterns measured in turns in the same run:

* ceiling: the same step on one batch that is there already, without augmentation, metrics or checkpoint;
* ours: an epoch of `fer_tune.training.loop.train`;
* reference: a torchvision ImageFolder with PIL transforms, two loader processes, channels first, `.item()` each step;
* channels first, plain convolutions, and glibc left as it is: our step without that one thing;
* bf16 over float32: our step in both. Ours and the ceiling have what `precision: auto` takes, the reference float32.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision import datasets, transforms

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.synthetic.synthesize import synthesize
from fer_tune.training.allocator import allocator_environment
from fer_tune.training.convolutions import quicken_convolutions
from fer_tune.training.evaluation import build_model
from fer_tune.training.loop import train
from fer_tune.training.objective import Objective
from fer_tune.training.optimisers import build_optimizer
from fer_tune.training.step import Step

BACKBONES = ("cnn_residual", "mobilenetv3_small_100", "resnet18", "efficientnet_b0")
BATCH, STEPS, TURNS = 64, 12, 5
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def config(backbone: str, **settings: object) -> TrialConfig:
    plain = {"batch_size": BATCH, "augmentation": 0.5, "schedule": "constant", "epochs": 1}
    return TrialConfig(**{"backbone": backbone, **plain, **settings})  # type: ignore[arg-type]


def ceiling(
    backbone: str, data: PreparedDataset, *, last: bool = True, precision: str = "auto", quick: bool = True
) -> float:
    """Return images per second of bare steps on one resident batch."""
    settings = config(backbone, precision=precision)
    layout = torch.channels_last if last else torch.contiguous_format
    model = build_model(settings, data.card).to(DEVICE, memory_format=layout).train()
    if quick and DEVICE.type == "cpu":
        quicken_convolutions(model)
    objective = Objective(settings, np.ones(len(data.card.classes), dtype=np.int64)).to(DEVICE)
    step = Step(model, build_optimizer(model, settings), objective, settings, DEVICE)
    images = torch.randn(BATCH, data.card.channels, 48, 48, device=DEVICE).contiguous(memory_format=layout)
    labels = torch.randint(0, len(data.card.classes), (BATCH,), device=DEVICE)
    taken = []
    for _ in range(STEPS + 3):
        began = time.perf_counter()
        step(images, labels)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return BATCH / statistics.median(taken[3:])


def ours(backbone: str, data: PreparedDataset) -> tuple[float, float]:
    """Return images per second of a second epoch, and the share of it outside data, steps and evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        history = train(config(backbone, epochs=2), data, Path(folder), device=DEVICE).history
    epoch = history[-1]
    inside = epoch["data_seconds"] + epoch["steps_seconds"] + epoch["evaluation_seconds"]
    return epoch["images_per_second"], 1 - inside / epoch["seconds"]


def reference(backbone: str, folder: Path, card_of: PreparedDataset) -> float:
    """Return images per second of the training code one would write first."""
    transform = transforms.Compose(
        [
            transforms.Grayscale(),
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(15, translate=(0.1, 0.1), scale=(0.88, 1.13), shear=6),
            transforms.ColorJitter(0.2, 0.3),
            transforms.ToTensor(),
            transforms.Normalize(0.5, 0.25),
            transforms.RandomErasing(0.25),
        ]
    )
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(folder), transform), BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )
    model = build_model(config(backbone), card_of.card).to(DEVICE, memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    rate = 0.0
    for _ in range(2):
        began, seen, running = time.perf_counter(), 0, 0.0
        for images, labels in loader:
            logits = model(images.to(DEVICE))
            loss = nn.functional.cross_entropy(logits, labels.to(DEVICE))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running += loss.item()
            seen += len(labels)
        rate = seen / (time.perf_counter() - began)
    return rate


def plain_allocator(backbone: str, data: PreparedDataset) -> float:
    """Return the ceiling in a process whose glibc is left as it is."""
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    command = [sys.executable, __file__, "--ceiling", backbone, str(data.path)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def as_folders(data: PreparedDataset, folder: Path) -> None:
    split = data.train()
    for place, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
        target = folder / data.card.classes[label] / f"{place}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(target)


def main(backbones: list[str], size: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        synthesize(Path(temporary) / "faces", size=size, seed=0)
        data = PreparedDataset.open(Path(temporary) / "faces")
        as_folders(data, Path(temporary) / "png")
        threads = torch.get_num_threads()
        print(f"{DEVICE.type}, {threads} threads; images/s, median of {TURNS} turns; ratios in brackets")
        print(
            f"{'backbone':24}{'ours':>8}{'ceiling':>16}{'reference':>16}{'channels first':>16}{'plain conv.':>16}"
            f"{'bf16 / fp32':>13}{'plain glibc':>16}{'rest of epoch':>16}"
        )
        for backbone in backbones:
            turns = []
            for _ in range(TURNS):
                rate, rest = ours(backbone, data)
                turns.append(
                    {
                        "ours": rate,
                        "ceiling": ceiling(backbone, data),
                        "reference": reference(backbone, Path(temporary) / "png", data),
                        "first": ceiling(backbone, data, last=False),
                        "plain": ceiling(backbone, data, quick=False),
                        "bf16": ceiling(backbone, data, precision="bf16"),
                        "fp32": ceiling(backbone, data, precision="fp32"),
                        "glibc": plain_allocator(backbone, data),
                        "rest": rest,
                    }
                )
            mid = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
            print(
                f"{backbone:24}{mid['ours']:8.0f}"
                f"{mid['ceiling']:8.0f} (x{mid['ours'] / mid['ceiling']:.2f})"
                f"{mid['reference']:8.0f} (x{mid['ours'] / mid['reference']:.2f})"
                f"{mid['first']:8.0f} (x{mid['ceiling'] / mid['first']:.2f})"
                f"{mid['plain']:8.0f} (x{mid['ceiling'] / mid['plain']:.2f})"
                f"{mid['bf16'] / mid['fp32']:13.2f}"
                f"{mid['glibc']:8.0f} (x{mid['ceiling'] / mid['glibc']:.2f})"
                f"{mid['rest']:14.1%}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ceiling"]:
        print(ceiling(sys.argv[2], PreparedDataset.open(Path(sys.argv[3]))))
    else:
        needed = allocator_environment(os.environ)
        if needed:  # it acts at the start of a process only
            os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **needed})
        given = sys.argv[1:]
        size = int(given.pop(0)) if given and given[0].isdigit() else 1800
        main(given or list(BACKBONES), size)
