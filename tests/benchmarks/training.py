"""What the trainer costs beyond the model's own arithmetic, and what it gains on the code one would write first.

On an idle machine: `make bench`, or `python tests/benchmarks/training.py [IMAGES] [BACKBONE[@SIDE] ...]`; with a
network that takes thousands of images a second say 6000, or the epoch is over in half a second.  It prints images per
second of training at 48 px (or SIDE), batch 64, on drawn faces, and ratios between patterns measured in turns.

First whole epochs:

* ceiling: the same step on one batch that is there already, without augmentation, metrics or checkpoint;
* ours: an epoch of `fer_tune.training.loop.train`, as `precision: auto` computes it in a run of many epochs;
* reference: a torchvision ImageFolder with PIL transforms, two loader processes, channels first, `.item()` each step;
* channels first, and glibc left as it is: our step without that one thing.

Then what `precision: auto` takes here against what is fixed, step by step in turns: float32 and bf16, each with
PyTorch's convolutions and with those as columns (and grouped ones in float32) that a rule written down for another
processor names, see `by_rule`.  With one thread (OMP_NUM_THREADS=1) seconds of bare steps are those of the processor,
so that a machine that others use will do.  The bounds: 1.5 times the reference, and 0.95 of the best that is fixed.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import datasets, transforms

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.synthetic.synthesize import synthesize
from fer_tune.training.assembly import assemble
from fer_tune.training.computing.convolutions import compute_otherwise, is_grouped, other_ways
from fer_tune.training.computing.measuring import clock
from fer_tune.training.computing.plan import WORTH_MEASURING, plan_for
from fer_tune.training.evaluation import build_model
from fer_tune.training.loop import train
from fer_tune.training.memory.allocator import allocator_environment
from fer_tune.training.processor import multiplies_bf16, processor, processor_name
from fer_tune.training.steps.step import Step

BACKBONES = ("cnn_residual", "mobilenetv3_small_100", "resnet18", "cnn_separable")
BATCH, STEPS, TURNS, ROUNDS = 64, 12, 5, 30
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def config(network: str, **settings: object) -> TrialConfig:
    """Return settings of a run that is long enough for `precision: auto` to be measured."""
    backbone, _, side = network.partition("@")
    plain = {"batch_size": BATCH, "augmentation": 0.5, "schedule": "constant", "epochs": WORTH_MEASURING}
    return TrialConfig(**{"backbone": backbone, "image_size": int(side or 48), **plain, **settings})  # type: ignore[arg-type]


def one_step(
    network: str, data: PreparedDataset, *, last: bool = True, way: tuple[str, bool] | None = None
) -> tuple[Callable[[], Any], str]:
    """Return a step on one resident batch, and how it is computed: as planned, or in a type with or without columns."""
    settings = config(network)
    built = assemble(settings, data, DEVICE)
    layout = torch.channels_last if last else torch.contiguous_format
    model = built.model.to(memory_format=layout).train()
    side = settings.image_size or data.card.height
    images = torch.randn(BATCH, data.card.channels, side, side, device=DEVICE).contiguous(memory_format=layout)
    labels = torch.randint(0, len(data.card.classes), (BATCH,), device=DEVICE)
    if way is None:
        plan = plan_for(settings, model, data.card, DEVICE, built.training.steps(BATCH), 1)
        plan.apply(model)
        dtype, told = plan.dtype, plan.told
    else:
        dtype, told = (torch.bfloat16 if way[0] == "bf16" else None), " ".join(map(str, way))
        if way[1]:
            compute_otherwise(model, by_rule(model, images, dtype))
    step = Step(model, built.optimizer, built.objective, settings, DEVICE, dtype)

    def run() -> None:
        step(images, labels)
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return run, told


def by_rule(model: nn.Module, images: Tensor, dtype: torch.dtype | None) -> list[str]:
    """Return the convolutions that go the other way by bounds that were right on a processor with AMX.

    Columns on small maps with many weights; grouped ones in float32 among others in bf16.
    """
    pixels: dict[str, int] = {}
    ways = other_ways(model)
    hooks = [
        conv.register_forward_hook(lambda *given, name=name: pixels.update({name: given[2][0, 0].numel()}))
        for name, conv in ways.items()
    ]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    least = 30_000 if dtype is None else 10_000
    chosen = []
    for name, area in pixels.items():
        conv, weights = ways[name], ways[name].weight.numel()
        if is_grouped(conv):
            taken = dtype is not None
        elif conv.kernel_size == conv.stride == (1, 1):
            taken = weights >= 5_000 * area
        else:
            taken = area <= 36 and weights >= least * max(area, 6)
        chosen += [name] if taken else []
    return chosen


def seconds(call: Callable[[], Any]) -> float:
    began = clock()
    call()
    return clock() - began


def ceiling(network: str, data: PreparedDataset, *, last: bool = True) -> float:
    """Return images per second of bare steps on one resident batch."""
    step, _ = one_step(network, data, last=last)
    return BATCH / statistics.median([seconds(step) for _ in range(STEPS + 3)][3:])


def ways(network: str, data: PreparedDataset) -> tuple[dict[str, float], str]:
    """Return images per second of a step as planned and in each fixed way, one of each in turn; and what is planned."""
    # Without instructions for it bf16 is never the best, and thirty steps of resnet18 would take twenty minutes.
    kinds = ("fp32", "bf16") if multiplies_bf16(processor()) else ("fp32",)
    fixed = {f"{kind} {'columns' if other else 'plain'}": (kind, other) for kind in kinds for other in (0, 1)}
    steps, told = {}, ""
    steps["auto"], told = one_step(network, data)
    for name, (kind, other) in fixed.items():
        steps[name], _ = one_step(network, data, way=(kind, bool(other)))
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS + 2):
        for name, step in steps.items():
            taken[name].append(seconds(step))
    return {name: BATCH / statistics.median(laps[2:]) for name, laps in taken.items()}, told


class _EnoughError(Exception):
    pass


def ours(network: str, data: PreparedDataset) -> tuple[float, float]:
    """Return images per second of a second epoch, and the share of it outside data, steps and evaluation."""
    history: list[dict[str, Any]] = []

    def second(metrics: dict[str, Any], _: Path) -> None:
        history.append(metrics)
        if len(history) == 2:
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_EnoughError):
        train(config(network), data, Path(folder), device=DEVICE, on_epoch=second)
    epoch = history[-1]
    inside = epoch["data_seconds"] + epoch["steps_seconds"] + epoch["evaluation_seconds"]
    return epoch["images_per_second"], 1 - inside / epoch["seconds"]


def reference(network: str, folder: Path, card_of: PreparedDataset) -> float:
    """Return images per second of the training code one would write first."""
    settings = config(network)
    transform = transforms.Compose(
        [
            transforms.Grayscale(),
            *([transforms.Resize(settings.image_size)] if settings.image_size != card_of.card.height else []),
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
    model = build_model(settings, card_of.card).to(DEVICE, memory_format=torch.contiguous_format).train()
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


def plain_allocator(network: str, data: PreparedDataset) -> float:
    """Return the ceiling in a process whose glibc is left as it is."""
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    command = [sys.executable, __file__, "--ceiling", network, str(data.path)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def as_folders(data: PreparedDataset, folder: Path) -> None:
    split = data.train()
    for place, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
        target = folder / data.card.classes[label] / f"{place}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(target)


def main(networks: list[str], size: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        synthesize(Path(temporary) / "faces", size=size, seed=0)
        data = PreparedDataset.open(Path(temporary) / "faces")
        as_folders(data, Path(temporary) / "png")
        where = DEVICE.type if DEVICE.type != "cpu" else processor_name(processor())
        print(f"{where}, {torch.get_num_threads()} threads; images/s, median of {TURNS} turns; ratios in brackets")
        print(
            f"{'network':24}{'ours':>8}{'ceiling':>16}{'reference':>16}{'channels first':>16}{'plain glibc':>16}"
            f"{'rest of epoch':>16}"
        )
        for network in networks:
            turns = []
            for _ in range(TURNS):
                rate, rest = ours(network, data)
                turns.append(
                    {
                        "ours": rate,
                        "ceiling": ceiling(network, data),
                        "reference": reference(network, Path(temporary) / "png", data),
                        "first": ceiling(network, data, last=False),
                        "glibc": plain_allocator(network, data),
                        "rest": rest,
                    }
                )
            mid = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
            print(
                f"{network:24}{mid['ours']:8.0f}"
                f"{mid['ceiling']:8.0f} (x{mid['ours'] / mid['ceiling']:.2f})"
                f"{mid['reference']:8.0f} (x{mid['ours'] / mid['reference']:.2f})"
                f"{mid['first']:8.0f} (x{mid['ceiling'] / mid['first']:.2f})"
                f"{mid['glibc']:8.0f} (x{mid['ceiling'] / mid['glibc']:.2f})"
                f"{mid['rest']:14.1%}",
                flush=True,
            )
        print(f"\nbare steps in turns, images/s, median of {ROUNDS}")
        for network in networks:
            rates, told = ways(network, data)
            best = max(rate for name, rate in rates.items() if name != "auto")
            each = "".join(f"{name} {rate:.0f}, " for name, rate in rates.items())
            print(f"{network:24}{each}auto / best fixed {rates['auto'] / best:.2f}\n{'':24}auto: {told}", flush=True)


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
