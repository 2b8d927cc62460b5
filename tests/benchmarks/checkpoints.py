"""What the checkpoints of a trial cost: bytes written, bytes that stay, and the time that training waits.

`python tests/benchmarks/checkpoints.py [backbone ...]`, resnet18 and resnet50 by default.

Twelve epochs with AdamW of which nothing is trained: only what is kept of them is written, into a local folder, once
after each epoch before the next begins and copied to the trial's folder as Ray Tune does, and once by the thread of
`fer_tune.training.keeping.background`, with an epoch every three seconds and a checkpoint every ten. Every second
epoch is the best so far.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from pyarrow import fs
from torch import nn

from fer_tune.models import create_model
from fer_tune.training.keeping import checkpoint
from fer_tune.training.keeping.background import BackgroundKeeper

EPOCHS, SECONDS, EVERY = 12, 3.0, 10.0
MIB = 2**20


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def network(backbone: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = create_model(backbone, num_classes=7, in_chans=1)
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()  # it has its moments now
    return model, optimizer


def each_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> tuple[float, int, int]:
    here, there = folder / "here", folder / "there"
    waited, written = 0.0, 0
    for epoch in range(1, EPOCHS + 1):
        began = time.perf_counter()
        state = {"optimizer": optimizer.state_dict()}
        checkpoint.save(here, epoch, model, state, model if epoch % 2 else None)
        shutil.copytree(here, there / f"checkpoint_{epoch:06d}")
        waited += time.perf_counter() - began
        written += size(here) * 2 if epoch % 2 else size(here) * 2 - (here / "best.safetensors").stat().st_size
        shutil.rmtree(there / f"checkpoint_{epoch - checkpoint.KEPT:06d}", ignore_errors=True)
    return waited, written, size(there)


def in_background(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> tuple[float, int, int]:
    here, there = folder / "here", folder / "there"
    here.mkdir()
    keeper = BackgroundKeeper(str(there), fs.LocalFileSystem(), EVERY)
    written, best_size = [0], sum(tensor.nbytes for tensor in model.state_dict().values())

    def counted(write: Any) -> Any:
        def call(*arguments: Any) -> None:
            write(*arguments)
            best = write.__name__ == "_write_best"
            written[0] += best_size if best else size(there / "state" / f"epoch_{arguments[1]:04d}") - best_size

        return call

    keeper._write_best = counted(keeper._write_best)  # type: ignore[method-assign]
    keeper._write_state = counted(keeper._write_state)  # type: ignore[method-assign]
    waited = 0.0
    for epoch in range(1, EPOCHS + 1):
        time.sleep(SECONDS)  # what training takes
        began = time.perf_counter()
        best = model if epoch % 2 else None
        keeper.keep(here, epoch, model, lambda: {"optimizer": optimizer.state_dict()}, best, [], epoch == EPOCHS)
        if (ready := keeper.ready()) is not None:
            keeper.name(ready)
        waited += time.perf_counter() - began
    keeper.close()
    shutil.rmtree(there / "state", ignore_errors=True)  # as a search does when the trial has ended
    return waited, written[0], size(there)


def main() -> None:
    print(f"{EPOCHS} epochs, AdamW, float32; MiB, and seconds that training waits in all")
    print(f"{'backbone':22}{'':24}{'written':>10}{'stays':>10}{'waits, s':>10}")
    for backbone in sys.argv[1:] or ["resnet18", "resnet50"]:
        model, optimizer = network(backbone)
        for name, keep in (("every epoch, waited for", each_epoch), ("in the background", in_background)):
            with tempfile.TemporaryDirectory() as folder:
                waited, written, stays = keep(model, optimizer, Path(folder))
            print(f"{backbone:22}{name:24}{written / MIB:10,.0f}{stays / MIB:10,.0f}{waited:10.2f}", flush=True)


if __name__ == "__main__":
    main()
