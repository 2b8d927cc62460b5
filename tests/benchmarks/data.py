"""Rates and memory of the data package, each beside what it is compared with, in one run.

Run it on an idle machine: `make bench`, or `python tests/benchmarks/data.py [FER2013 as folders]`. Without a folder it
draws 48x48 grey faces and saves them as JPEG, as FER2013 is distributed.

1. feeding: batches of 128 augmented images a second; ours against torchvision's ImageFolder, PIL transforms and a
   DataLoader with 2 workers, the same operations in the same ranges.
2. training: images a second of MobileNetV3-Small at 48 pixels; fed by our loader against one resident random batch.
3. memory: what four processes that read the same prepared dataset add, each, beyond the one copy they share (PSS).
4. preparing: images a second and peak memory; ours against a loop that opens every file with PIL and keeps the array.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from fer_tune.data.batching.batches import Batches
from fer_tune.data.labels import EMOTIONS
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.data.prepared.writer import Record, write_dataset
from fer_tune.data.preparing.prepare import prepare
from fer_tune.data.synthetic.synthesize import make_gallery
from fer_tune.models import create_model

BATCH, STRENGTH, ROUNDS = 128, 0.5, 3
Stream = Iterator[tuple[Tensor, Tensor]]


def draw_folders(root: Path, size: int = 7000) -> Path:
    """Draw faces as FER2013 is distributed: folders of JPEG, 48x48 grey, four fifths of them for training."""
    gallery = make_gallery(size, 300, np.random.default_rng(0))
    for number, (image, label) in enumerate(zip(gallery.images, gallery.labels, strict=True)):
        split, part = ("test", "PublicTest") if number % 5 == 0 else ("train", "Training")
        folder = root / split / EMOTIONS[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.reshape(48, 48)).save(folder / f"{part}_{number}.jpg", quality=90)
    return root


def rate(step: Callable[[], int], seconds: float) -> float:
    """Images a second of ``step``, which returns how many it took, run for about ``seconds``."""
    step()  # the first call starts workers and fills caches
    images, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        images += step()
    return images / passed


def ours(data: PreparedDataset, device: torch.device) -> Stream:
    batches = Batches(data.train(), data.card, device)
    for epoch in count():
        for batch in batches.train(BATCH, STRENGTH, 0, epoch):
            yield batch.images, batch.labels


def torchvisions(folder: Path, data: PreparedDataset) -> Stream:
    """The usual pipeline, with the ranges that strength 0.5 stands for."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    operations = [
        transforms.RandomHorizontalFlip(),
        transforms.RandomAffine(
            15, (0.1, 0.1), (0.88, 1.13), (-6, 6), interpolation=transforms.InterpolationMode.BILINEAR
        ),
        transforms.ColorJitter(brightness=0.2, contrast=0.3),
        transforms.ToTensor(),
        transforms.RandomErasing(0.25, (0.005, 0.06)),
        transforms.Normalize(data.card.pixel_mean, data.card.pixel_std),
    ]
    images = datasets.ImageFolder(str(folder), transforms.Compose(operations), loader=_grey)
    loader = DataLoader(images, BATCH, shuffle=True, num_workers=2, persistent_workers=True, drop_last=True)
    while True:
        yield from loader


def _grey(path: str) -> Image.Image:
    with Image.open(path) as file:
        return file.convert("L")


def feeding(folder: Path, data: PreparedDataset) -> None:
    streams = {
        "ours": ours(data, torch.device("cpu")),
        "ImageFolder, PIL, 2 workers": torchvisions(folder / "train", data),
    }
    found: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(ROUNDS):  # in turns, so that a busy machine is busy for both
        for name, stream in streams.items():
            found[name].append(rate(lambda stream=stream: len(next(stream)[1]), 4.0))
    report("feeding, images/s", {name: median(rates) for name, rates in found.items()}, "at least 5")


def training(data: PreparedDataset, device: torch.device) -> None:
    model = create_model("mobilenetv3_small_100", len(data.card.classes), data.card.channels, 48).to(device)
    model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.randn(BATCH, data.card.channels, 48, 48, device=device).to(memory_format=torch.channels_last)
    resident = (images, torch.randint(len(data.card.classes), (BATCH,), device=device))
    streams: dict[str, Stream] = {"ours": ours(data, device), "resident random batch": cycle([resident])}

    def steps(stream: Stream, number: int) -> int:
        for inputs, labels in islice(stream, number):
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return number * BATCH

    found: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(2 * ROUNDS):
        for name, stream in streams.items():
            found[name].append(rate(lambda stream=stream: steps(stream, 5), 3.0))
    bound = "at least 0.85" if device.type == "cpu" else "at least 0.95"
    report(f"training on {device.type}, images/s", {name: median(rates) for name, rates in found.items()}, bound)


def memory(root: Path) -> None:
    """Compare the PSS of four processes before and after each has read every image of a dataset of 200 MB."""
    rng = np.random.default_rng(0)

    def stream(split: str, images: int) -> Iterator[Record]:
        for number in range(images):
            yield Record(rng.integers(0, 256, (256, 256, 3), np.uint8), number % 7, f"{split}/{number}")

    counts = {"train": 1024, "val": 7, "test": 7}
    streams = {split: stream(split, images) for split, images in counts.items()}
    card = write_dataset(root / "noise", streams, name="noise", source="noise", classes=EMOTIONS)
    command = [sys.executable, __file__, "--read", str(root / "noise")]
    readers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    def all_of(word: str) -> int:
        """Send ``word`` to every reader, wait for each to answer, and return their PSS together, in bytes."""
        for reader in readers:
            print(word, file=reader.stdin, flush=True)
        for reader in readers:
            reader.stdout.readline()
        return sum(pss(reader.pid, "train.arrow") for reader in readers)

    before, after = all_of("open"), all_of("read")
    for reader in readers:
        reader.communicate()
    size = card.split_bytes["train"]
    print(f"memory: {size / 2**20:.0f} MB read by 4 processes")
    print(f"  {'added in all, with the one copy that they share':52} {(after - before) / 2**20:9.1f} MB")
    share = (after - before - size) / 4 / size
    print(f"  {'added by each beyond that copy':52} {share:9.1%}   (to be less than 5 %)")


def pss(process: int, file: str) -> int:
    """Bytes of ``process`` in pages of its own and in its share of the mapped ``file``.

    Its shares of libraries are left out: they change with whatever else runs on the machine.
    """
    total, counts = 0, False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):  # the head of a mapping: addresses, ..., path
            counts = words[-1].endswith(file)
        elif words[0] == "Pss:" and counts:
            total += int(words[1]) * 1024
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return total + sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Pss_Anon:"))


def read(path: str) -> None:
    """A reader of :func:`memory`: opens, then reads all images in shuffled batches, each at a line on stdin."""
    torch.set_num_threads(1)
    data = PreparedDataset.open(path)
    batches = Batches(data.train(), data.card, torch.device("cpu"), image_size=48)
    sum(float(batch.images.mean()) for batch in islice(batches.train(16, 0.0, 1, 0), 2))  # torch has warmed up
    for turn, _ in enumerate(sys.stdin):
        if turn == 1:
            sum(float(batch.images.mean()) for batch in batches.train(16, 0.0, 0, 0))
        print("done", flush=True)


def preparing(folder: Path, root: Path) -> None:
    found, peaks = {}, {}
    for name, how in (("ours", "--prepare"), ("plain PIL loop", "--loop")):
        command = [sys.executable, __file__, how, str(folder), str(root / "prepared anew")]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        found[name], peaks[name] = float(output[0]), float(output[1])
    report("preparing, images/s", found, "no bound")
    for name, peak in peaks.items():
        print(f"  {name + ': memory added at its peak':52} {peak:9.1f} MB")


def prepare_or_loop(how: str, folder: Path, out: Path) -> None:
    """Print images a second and the megabytes by which the peak of memory exceeds what was there before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from what is resident now
    before, began = _status("VmRSS"), time.perf_counter()
    if how == "--prepare":
        card = prepare(folder, out)
        images = sum(split["found"] for split in card.hygiene["splits"].values())
    else:
        arrays = [np.asarray(_grey(str(file))) for file in sorted(folder.rglob("*.jpg"))]
        np.save(out.with_suffix(".npy"), np.stack(arrays))
        images = len(arrays)
    print(images / (time.perf_counter() - began), _status("VmHWM") - before)


def _status(field: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def report(title: str, found: dict[str, float], bound: str) -> None:
    """Print a table; the first is ours."""
    first = next(iter(found.values()))
    print(f"{title:54} {'':>9} {'ours / it':>10}")
    for number, (name, value) in enumerate(found.items()):
        print(f"  {name:52} {value:9.0f} {first / value:10.2f}" + (f"   (to be {bound})" if number else ""))


def main() -> None:
    if len(sys.argv) > 2 and sys.argv[1] == "--read":
        return read(sys.argv[2])
    if len(sys.argv) > 3:
        return prepare_or_loop(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    print(f"{os.cpu_count()} CPUs, torch {torch.__version__} with {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else draw_folders(root / "faces")
        prepare(folder, root / "prepared")
        data = PreparedDataset.open(root / "prepared")
        feeding(folder, data)
        training(data, torch.device("cpu"))
        if torch.cuda.is_available():
            training(data, torch.device("cuda"))
        memory(root)
        preparing(folder, root)


if __name__ == "__main__":
    main()
