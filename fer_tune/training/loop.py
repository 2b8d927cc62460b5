"""The training loop: plain PyTorch, one device or one of several data-parallel ranks, resumable to the bit on a CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fer_tune.config import TrialConfig
from fer_tune.data.batches import Batches
from fer_tune.data.store import PreparedDataset
from fer_tune.models import freeze
from fer_tune.training import checkpoint
from fer_tune.training.evaluation import build_model, evaluate
from fer_tune.training.metrics import Meter
from fer_tune.training.optimisers import LearningRate, build_optimizer

OnEpoch = Callable[[dict[str, Any], Path], None]


@dataclass(frozen=True)
class Outcome:
    """What a run came to; ``history`` has one dict per epoch, with the names of ``run_folder.METRICS`` and more."""

    epochs: int
    best_epoch: int  # 1-based
    best_val_accuracy: float  # in [0, 1]
    history: list[dict[str, Any]]
    reason: str  # why it ended
    seconds: float  # wall time of all epochs


def train(
    config: TrialConfig,
    data: PreparedDataset,
    folder: Path,
    *,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
) -> Outcome:
    """Train as ``config`` says, or go on from the checkpoint in ``folder``.

    Reads the training and validation splits only.  After each epoch it writes the checkpoint (rank 0) and calls
    ``on_epoch(metrics, folder)``.  Inside an initialised ``torch.distributed`` group it trains data-parallel:
    ``batch_size`` is that of all ranks together and the metrics are those of the whole splits.

    Args:
        device: where to train; a GPU if there is one, else the CPU.
        on_epoch: called on every rank; an exception from it ends the run, with the checkpoint already written.

    Raises:
        UserError: the settings do not fit the backbone, or its weights cannot be had.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    classes = len(data.card.classes)

    torch.manual_seed(config.seed)  # initial weights
    model = build_model(config, data.card).to(device)
    frozen = freeze(model, config.freeze_depth)
    training, validation = Batches(data.train(), data.card, device), Batches(data.val(), data.card, device)
    steps = training.steps(config.batch_size)
    optimizer = build_optimizer(model, config)
    rate = LearningRate(optimizer, config, steps * config.epochs)
    parallel = DistributedDataParallel(model) if world > 1 else model

    history: list[dict[str, Any]] = []
    if state := checkpoint.load(folder, model):
        optimizer.load_state_dict(state["optimizer"])
        rate.load_state_dict(state["schedule"])
        history = state["history"]

    while not (history and history[-1]["finished"]):
        epoch = len(history) + 1
        began = time.perf_counter()
        torch.manual_seed(config.seed * 100_003 + epoch)  # dropout: a resumed run draws the same
        meter = Meter(classes, device)
        parallel.train()
        for module in frozen:
            module.eval()  # fixed batch-norm statistics
        for images, labels in training.train(config.batch_size, config.augmentation, config.seed, epoch, rank, world):
            logits = parallel(images)
            loss = nn.functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            rate.step()
            meter.update(logits, labels, loss)
        metrics: dict[str, Any] = meter.result("train")
        trained = time.perf_counter() - began
        metrics |= evaluate(model, validation, classes, device, rank, world)
        metrics |= {
            "epoch": epoch,
            "learning_rate": rate.value,
            "images_per_second": min(len(training), steps * config.batch_size) / trained,
            "seconds": time.perf_counter() - began,
        }
        rate.end_epoch(metrics["val_loss"])
        _judge(metrics, history, config)
        history.append(metrics)
        if rank == 0:
            state = {"optimizer": optimizer.state_dict(), "schedule": rate.state_dict(), "history": history}
            checkpoint.save(folder, epoch, model, state, is_best=metrics["best_epoch"] == epoch)
        if on_epoch is not None:
            on_epoch(metrics, folder)

    last = history[-1]
    total = sum(metrics["seconds"] for metrics in history)
    return Outcome(len(history), last["best_epoch"], last["best_val_accuracy"], history, last["reason"], total)


def _judge(metrics: dict[str, Any], history: list[dict[str, Any]], config: TrialConfig) -> None:
    """Add the best epoch so far, and whether and why the run ends here."""
    epoch, accuracy = metrics["epoch"], metrics["val_accuracy"]
    best, best_epoch = (history[-1]["best_val_accuracy"], history[-1]["best_epoch"]) if history else (-1.0, 0)
    if accuracy > best:
        best, best_epoch = accuracy, epoch
    reason = ""
    if not (math.isfinite(metrics["train_loss"]) and math.isfinite(metrics["val_loss"])):
        reason = f"diverged: the loss was not finite in epoch {epoch}"
    elif config.early_stopping is not None and epoch - best_epoch >= config.early_stopping:
        reason = f"early stopping: no better validation accuracy for {config.early_stopping} epochs"
    elif epoch >= config.epochs:
        reason = "all epochs done"
    metrics |= {"best_val_accuracy": best, "best_epoch": best_epoch, "finished": bool(reason), "reason": reason}
