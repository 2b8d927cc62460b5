"""What training reaches of a GPU: against its bare step, captured and not, and the code one would write.

`PYTHONPATH=. python3 tests/benchmarks/gpu.py`, six minutes at most; it needs PyTorch, timm, torchvision, pandas,
pyarrow, pydantic and safetensors, and no Ray.  Without a GPU, or with QUICK=1, every part runs once on
next to nothing, which shows that it runs and nothing more.  Drawn faces, grey, 48 px, repeated to the size of FER2013's
training split.  For each network and batch size, images per second of

* ours: the last epoch of `fer_tune.training.loop.train`, as `images_per_second` has it, without evaluation;
* launched: the bare training step on one batch that is there already, kernel by kernel (the eager ceiling);
* captured: the same in a CUDA graph: AdamW fused and capturable, autocast, no augmentation, clipping or metrics;
* folder: ImageFolder, PIL transforms and a loader process for each core, pinned memory, channels last, bf16;

and of the launched step the share of time in which kernels run, and kernels a step.  Then equal trials side by side,
each a process of its own: images per second of all together, while all of them train; in turns, and through NVIDIA's
MPS where it can be started.

The bounds: 0.85 of what is captured bare, 5 times the folder at 48 px, and packed trials 1.5 times one by itself.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import nn
from torchvision import datasets, transforms

from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.prepared.writer import Record, write_dataset
from fer_tune.data.synthetic.synthesize import synthesize
from fer_tune.search.cluster.gpu_sharing import gpu_sharing
from fer_tune.training.assembly import assemble
from fer_tune.training.loop import train
from fer_tune.training.steps.precision import autocast, gpu_dtype
from fer_tune.training.steps.step import Step

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
QUICK = DEVICE.type == "cpu" or os.environ.get("QUICK") == "1"
NETWORKS = (
    *(("cnn_residual", 48), ("resnet18", 48), ("cnn_separable", 48), ("mobilenetv3_small_100", 48)),
    *(("efficientnet_b0", 48), ("tf_efficientnet_lite0", 112)),
)
BATCHES = (64, 256)
PACKED = ((1, False), (4, True), (8, True), (4, False), (2, True))  # trials, with MPS; the most telling first
IMAGES, DRAWN, FILES = 28_000, 3_000, 6_000  # of the training split, different ones, and as files for the folder
EPOCHS, PACKED_SECONDS = 3, 8.0
SECONDS, FOR_PACKING = 345.0, 105.0  # of the whole; of them for the trials side by side
CEILING, FOLDER, PACKING = 0.85, 5.0, 1.5
if QUICK:
    NETWORKS, BATCHES, PACKED = (("cnn_separable", 48), ("mobilenetv3_small_100", 32)), (16,), ((1, False), (2, True))
    IMAGES, DRAWN, FILES, EPOCHS, PACKED_SECONDS = 160, 160, 96, 2, 0.5
CORES = min(len(os.sched_getaffinity(0)), 2 if QUICK else 64)
BEGAN = time.monotonic()


def left() -> float:
    """Return the seconds that are left for networks."""
    return SECONDS - FOR_PACKING - (time.monotonic() - BEGAN)


def config(backbone: str, side: int, batch: int, epochs: int = EPOCHS) -> TrialConfig:
    plain: dict[str, Any] = {"augmentation": 0.4, "schedule": "one_cycle", "optimizer": "adamw", "learning_rate": 1e-3}
    return TrialConfig(backbone=backbone, image_size=side, batch_size=batch, epochs=epochs, **plain)


def faces(folder: Path) -> PreparedDataset:
    """Draw faces, and repeat those of the training split to `IMAGES`."""
    synthesize(folder / "drawn", size=max(DRAWN, 140), seed=0)
    drawn = PreparedDataset.open(folder / "drawn")

    def records(split: Any, count: int) -> Iterator[Record]:
        for place in range(count):
            yield Record(split.images[place % len(split)], int(split.labels[place % len(split)]), f"{place}")

    few = drawn.val()
    splits = {"train": records(drawn.train(), IMAGES), "val": records(few, len(few)), "test": records(few, len(few))}
    told = {"name": "repeated faces", "source": "drawn", "splits": {"policy": "drawn"}}
    write_dataset(folder / "faces", splits, classes=drawn.card.classes, **told)
    return PreparedDataset.open(folder / "faces")


def as_folders(data: PreparedDataset, folder: Path) -> None:
    split = data.train()
    for place in range(min(FILES, len(split))):
        target = folder / data.card.classes[split.labels[place]] / f"{place}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(split.images[place][..., 0]).save(target, compress_level=1)


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def rate(call: Callable[[], Any], images: int, seconds: float = 1.0) -> float:
    """Return images per second of ``call``, which trains on so many."""
    for _ in range(5):
        call()
    wait()
    count, began = 0, time.perf_counter()
    while (count < 20 or time.perf_counter() - began < seconds) and not (QUICK and count >= 2):
        for _ in range(1 if QUICK else 20):  # in bulk, as waiting costs time too
            call()
            count += 1
        wait()
    return images * count / (time.perf_counter() - began)


def ours(settings: TrialConfig, data: PreparedDataset) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        history = train(settings, data, Path(folder), device=DEVICE).history
    last = history[-1]
    told = last["computed_in"].partition("; ")[2] or last["computed_in"]
    return {"ours": last["images_per_second"], "first": history[0]["seconds"], "last": last["seconds"], "told": told}


def bare(settings: TrialConfig, data: PreparedDataset) -> dict[str, float]:
    """Return the ceilings, the busy share and kernels a step, of a step on one batch that is there already."""
    built = assemble(settings, data, DEVICE)
    model, objective, dtype = built.model.train(), built.objective, gpu_dtype("auto", DEVICE)
    side, batch = settings.image_size or data.card.height, settings.batch_size
    images = torch.randn(batch, data.card.channels, side, side, device=DEVICE)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, len(data.card.classes), (batch,), device=DEVICE)
    step = Step(model, built.optimizer, objective, settings, DEVICE, dtype)
    found = {"launched": rate(lambda: step(images, labels), batch)}
    if DEVICE.type != "cuda":
        return found
    found |= busy(lambda: step(images, labels))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True, capturable=True)

    def plain() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(dtype, DEVICE):
            logits = model(images)
        objective(logits.float(), labels).backward()
        optimizer.step()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            plain()
    torch.cuda.current_stream().wait_stream(stream)
    optimizer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        plain()
    found["captured"] = rate(graph.replay, batch)
    return found


def busy(call: Callable[[], Any], steps: int = 20) -> dict[str, float]:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        began = time.perf_counter()
        for _ in range(steps):
            call()
        wait()
        took = time.perf_counter() - began
    events = [one for one in profiler.events() if one.device_type == torch.autograd.DeviceType.CUDA]
    return {"busy": sum(one.device_time for one in events) / 1e6 / took, "kernels": len(events) / steps}


def folder_rate(settings: TrialConfig, folder: Path, data: PreparedDataset) -> float:
    """Return images per second of the second pass of the training code one would write first."""
    side = settings.image_size or data.card.height
    transform = transforms.Compose(
        [
            transforms.Grayscale(),
            *([transforms.Resize(side)] if side != data.card.height else []),
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(12, translate=(0.08, 0.08), scale=(0.9, 1.1), shear=5),
            transforms.ColorJitter(0.16, 0.24),
            transforms.ToTensor(),
            transforms.Normalize(0.5, 0.25),
            transforms.RandomErasing(0.2),
        ]
    )
    workers: dict[str, Any] = {"num_workers": max(1, CORES - 1), "persistent_workers": True}
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(folder), transform),
        settings.batch_size,
        shuffle=True,
        drop_last=True,
        pin_memory=DEVICE.type == "cuda",
        **workers,
    )
    built = assemble(settings, data, DEVICE)
    model, dtype = built.model.train(), gpu_dtype("auto", DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    found = 0.0
    for _ in range(2):
        wait()
        began, seen = time.perf_counter(), 0
        for images, labels in loader:
            there = images.to(DEVICE, non_blocking=True).contiguous(memory_format=torch.channels_last)
            with autocast(dtype, DEVICE):
                logits = model(there)
            loss = nn.functional.cross_entropy(logits.float(), labels.to(DEVICE, non_blocking=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(labels)
        wait()
        found = seen / (time.perf_counter() - began)
    return found


class _EnoughError(Exception):
    pass


def packed_one(path: str, gate: str) -> None:
    """Train until `PACKED_SECONDS` after the gate opens, and print how many images came by each end of an epoch."""
    data = PreparedDataset.open(path)
    settings = config(*NETWORKS[0], BATCHES[0], epochs=1000)
    marks: list[float] = []

    def end(metrics: dict[str, Any], _: Path) -> None:
        if not marks:  # the first epoch has warmed up and captured
            Path(f"{gate}.{os.getpid()}").touch()
            while not Path(gate).exists():
                time.sleep(0.01)
        marks.append(time.time())
        if marks[-1] - marks[0] > PACKED_SECONDS:
            raise _EnoughError

    with tempfile.TemporaryDirectory() as folder:
        try:
            train(settings, data, Path(folder), device=DEVICE, on_epoch=end)
        except _EnoughError:
            print(json.dumps({"marks": marks, "images": len(data.train())}), flush=True)


def packed(count: int, data: PreparedDataset, more: dict[str, str]) -> float:
    """Return images per second of ``count`` trials together, from when all have begun to when the first ends."""
    with tempfile.TemporaryDirectory() as folder:
        gate = Path(folder) / "gate"
        command = [sys.executable, __file__, "--one", str(data.path), str(gate)]
        environment = {**os.environ, **more, "OMP_NUM_THREADS": "1"}
        trials = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(count)]
        try:
            until = time.monotonic() + 60
            while len(list(Path(folder).glob("gate.*"))) < count and time.monotonic() < until:
                if any(trial.poll() is not None for trial in trials):
                    raise RuntimeError(f"one of {count} trials ended before all had begun")
                time.sleep(0.02)
            gate.touch()
            told = [json.loads(trial.communicate(timeout=60)[0].splitlines()[-1]) for trial in trials]
        finally:
            for trial in trials:
                trial.kill()
                trial.wait()
    begin, end = max(one["marks"][0] for one in told), min(one["marks"][-1] for one in told)
    return sum(one["images"] * _epochs(one["marks"], begin, end) / (end - begin) for one in told)


def _epochs(marks: list[float], begin: float, end: float) -> float:
    """Return how many epochs ran between two times; those that only reach into it count in part."""
    return sum(max(0.0, min(to, end) - max(since, begin)) / (to - since) for since, to in pairwise(marks))


def networks(data: PreparedDataset, png: Path) -> list[str]:
    """Print the table of networks; return which bounds are missed."""
    print(
        f"{'network':28}{'batch':>6}{'ours':>10}{'launched':>10}{'captured':>10}{'ratio':>7}{'folder':>9}{'ratio':>7}"
        f"{'busy':>6}{'kernels':>9}{'first / last epoch, s':>24}  steps"
    )
    missed: list[str] = []
    for backbone, side in NETWORKS:
        for batch in BATCHES:
            name = f"{backbone} {side}, {batch}"
            if left() < 20 and not QUICK:  # about what one takes
                missed.append(f"{name}: no time was left")
                continue
            settings = config(backbone, side, batch)
            row: dict[str, Any] = {"busy": math.nan, "kernels": math.nan, "captured": math.nan, "folder": math.nan}
            try:
                row |= ours(settings, data) | bare(settings, data)
                if side == 48:
                    row["folder"] = folder_rate(settings, png, data)
            except Exception as error:  # one network must not take the figures of the others with it
                missed.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
                if "launched" not in row:
                    continue
            ceiling, folder = row["ours"] / row["captured"], row["ours"] / row["folder"]
            print(
                f"{backbone + ' ' + str(side):28}{batch:6}{row['ours']:10.0f}{row['launched']:10.0f}"
                f"{row['captured']:10.0f}{ceiling:7.2f}{row['folder']:9.0f}{folder:7.2f}{row['busy']:6.0%}"
                f"{row['kernels']:9.0f}{row['first']:14.2f} / {row['last']:.2f}{'':3}  {row['told']}",
                flush=True,
            )
            missed += [f"{name}: {ceiling:.2f} of the captured ceiling"] if ceiling < CEILING else []
            missed += [f"{name}: {folder:.2f} times the folder"] if folder < FOLDER else []
            if DEVICE.type == "cuda":
                torch.cuda.empty_cache()
    return missed


def side_by_side(data: PreparedDataset) -> list[str]:
    """Print what several trials on the device reach together; return the bound if it is missed."""
    print(f"\n{NETWORKS[0][0]} at batch {BATCHES[0]}, trials side by side, images/s of all together")
    found: dict[int, float] = {}
    for count, served in PACKED:
        if time.monotonic() - BEGAN > SECONDS - 25 and not QUICK:
            print(f"{count}: no time was left")
            continue
        with gpu_sharing(1 / count if served and DEVICE.type == "cuda" else None) as environment:
            if served and not environment and not QUICK:
                print(f"{count}: no MPS")
                continue
            try:
                reached = packed(count, data, environment)
            except (RuntimeError, subprocess.TimeoutExpired, IndexError) as error:
                print(f"{count}: {type(error).__name__}: {error}")
                continue
        found[count] = max(reached, found.get(count, 0.0))
        how = " with MPS" if served else " in turns" if count > 1 else ""
        print(f"{count:3}{reached:10.0f}{reached / found.get(1, math.nan):7.2f}{how}", flush=True)
    gain = max(found.values(), default=math.nan) / found.get(1, math.nan)
    return [] if gain >= PACKING else [f"packed trials reach {gain:.2f} times one"]


def main() -> int:
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)
    where = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "no GPU"
    print(f"{where}, {CORES} cores, PyTorch {torch.__version__}; images/s" + (", quick: says nothing" * QUICK))
    with tempfile.TemporaryDirectory() as folder:
        data = faces(Path(folder))
        as_folders(data, Path(folder) / "png")
        missed = networks(data, Path(folder) / "png")
        missed += side_by_side(data)
    print(f"\n{time.monotonic() - BEGAN:.0f} s")
    if QUICK:
        failed = [one for one in missed if "Error" in one]
        print("it runs" if not failed else "\n".join(failed))
        return bool(failed)
    print(f"bounds: {CEILING} of the captured ceiling, {FOLDER:.0f} times the folder at 48 px, packed {PACKING}")
    print("\n".join(f"missed: {one}" for one in missed) or "all hold")
    return bool(missed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        packed_one(*sys.argv[2:4])
    else:
        sys.exit(main())
