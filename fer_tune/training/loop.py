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
from torch.nn.parallel import DistributedDataParallel

from fer_tune.amounts import amount
from fer_tune.config import TrialConfig
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.objectives import OBJECTIVES, Aim, Judged
from fer_tune.training.assembly import assemble, freeze_to
from fer_tune.training.computing.plan import plan_for
from fer_tune.training.evaluation import Evaluation
from fer_tune.training.fixed_features import source_of
from fer_tune.training.keeping import checkpoint
from fer_tune.training.learning.average import MovingAverage
from fer_tune.training.learning.optimisers import frozen_stages, take_up
from fer_tune.training.learning.schedules import LearningRate
from fer_tune.training.memory.lack_of_memory import lack_of_memory_named
from fer_tune.training.memory.leftover import clean_up
from fer_tune.training.memory.parts import more_parts
from fer_tune.training.metrics import Meter
from fer_tune.training.steps.captured import Captured
from fer_tune.training.steps.loss_scaling import LossScaling
from fer_tune.training.steps.step import Step
from fer_tune.training.steps.stopwatch import Stopwatch, peak_memory, reset_peak_memory
from fer_tune.training.steps.whole_step import WholeStep

OnEpoch = Callable[[dict[str, Any], Path], None]

_CHECK = 100  # steps between two looks at whether the loss is still a number; each waits for the device


@dataclass(frozen=True)
class Outcome:
    """What a run came to; ``history`` has one dict per epoch, with the names of ``run_folder.METRICS`` and more."""

    epochs: int
    best_epoch: int  # 1-based
    best: dict[str, Any]  # its metrics
    history: list[dict[str, Any]]
    reason: str  # why it ended
    seconds: float  # wall time of all epochs

    @property
    def val_accuracy(self) -> float:
        """Validation accuracy of the best epoch, in [0, 1]."""
        return float(self.best["val_accuracy"])


def train(
    config: TrialConfig,
    data: PreparedDataset,
    folder: Path,
    *,
    objective: Judged = "val_accuracy",
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    parts: int = 1,
    keeper: checkpoint.Keeper | None = None,
) -> Outcome:
    """Train as ``config`` says, or go on from the checkpoint in ``folder``.

    Reads the training and validation splits only.  After each epoch it has ``keeper`` keep it (rank 0) and calls
    ``on_epoch(metrics, folder)``.  Inside an initialised ``torch.distributed`` group it trains data-parallel:
    ``batch_size`` is that of all ranks together and the metrics are those of the whole splits.

    With ``ema_decay`` an exponential moving average of the weights (Polyak and Juditsky 1992; timm's, which warms up)
    is what is evaluated and kept; ``early_stopping`` is that of Prechelt (1998) on the objective.

    Args:
        objective: which epoch is the best, and its weights are kept.
        device: where to train; a GPU if there is one, else the CPU.
        on_epoch: called on every rank; an exception from it ends the run, after the keeper had the epoch.
        parts: that each batch is split into, see `fer_tune.training.steps.step`.  Where that does not fit into memory,
            a single rank goes on from its last checkpoint with twice as many, as long as there are enough images.
        keeper: writes the checkpoints; by default that of each epoch, before the next begins.

    Raises:
        UserError: the settings do not fit the backbone, or its weights cannot be had, or the checkpoint
            cannot be read.
        torch.OutOfMemoryError: there is too little memory, on a GPU or a CPU, for parts of any size.
    """
    keeper = keeper or checkpoint.EveryEpoch()
    tried: int | None = parts
    while tried is not None:
        parts = tried
        try:
            return _train(config, data, folder, objective, device, on_epoch, parts, keeper)
        except torch.OutOfMemoryError as error:
            tried = None if dist.is_initialized() else more_parts(parts, config.batch_size)
            if tried is None:  # several ranks must begin again together, see `fer_tune.training.ray_worker`
                told = f", also with the batch in {parts} parts" if parts > 1 else ""
                raise torch.OutOfMemoryError(f"too little memory{told}: {str(error).splitlines()[0]}") from error
            keeper.settle(folder)
            clean_up()
    raise AssertionError("it returns or raises")


@lack_of_memory_named()
def _train(
    config: TrialConfig,
    data: PreparedDataset,
    folder: Path,
    objective: Judged,
    device: torch.device | str | None,
    on_epoch: OnEpoch | None,
    parts: int,
    keeper: checkpoint.Keeper,
) -> Outcome:
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    classes = len(data.card.classes)

    built = assemble(config, data, device)
    model, optimizer, training = built.model, built.optimizer, built.training
    steps = training.steps(config.batch_size)
    rate = LearningRate(optimizer, config, steps)
    average = MovingAverage(model, config.ema_decay) if config.ema_decay else None
    judged = average.module if average else model  # what is evaluated and kept

    history: list[dict[str, Any]] = []
    earlier = None
    if state := checkpoint.load(folder, model):
        take_up(optimizer, state["optimizer"])
        rate.load_state_dict(state["schedule"])
        history, earlier, parts = state["history"], state.get("plan"), max(parts, state["parts"])
        if average:
            average.module.load_state_dict(state["average"])
    plan = plan_for(config, model, data.card, device, steps, world, earlier)
    plan.apply(model)
    if (scaling := LossScaling.needed(plan.dtype, device)) and state and "scaling" in state:
        scaling.load_state_dict(state["scaling"])

    def state_now() -> dict[str, Any]:
        state: dict[str, Any] = {
            "optimizer": optimizer.state_dict(),
            "schedule": rate.state_dict(),
            "history": list(history),
        }
        state |= {"plan": plan.state(), "parts": parts}
        if scaling:
            state["scaling"] = scaling.state_dict()
        if average:
            state["average"] = average.module.state_dict()
        return state

    reset_peak_memory(device)
    source = source_of(config, built, data.card, plan.dtype, device, world, parts)
    if average:
        average.only(source.model)
    seen = source.within(judged)
    evaluation = Evaluation(seen, source.validation, classes, config, device, rank, world, parts)
    watch, meter = Stopwatch(device), Meter(classes, device, steps * config.batch_size)
    parallel = source.model
    run: Captured | None = None
    depth, first = -1, len(history) + 1
    while not (history and history[-1]["finished"]):
        epoch = len(history) + 1
        began = time.perf_counter()
        if epoch > first:  # what comes before the first one counts with it
            reset_peak_memory(device)
        meter.clear()
        torch.manual_seed(config.seed * 100_003 + epoch)  # dropout: a resumed run draws the same
        if depth != (depth := frozen_stages(config, epoch)) or run is None:
            if run is not None:
                run.release()  # its graphs leave room for those of the new depth
            frozen = freeze_to(model, depth)
            if world > 1:
                parallel = DistributedDataParallel(model)  # it counts what is trained at its start
            step = Step(parallel, optimizer, built.objective, config, device, plan.dtype, scaling, parts)
            run = WholeStep(source.training, step, average, meter, watch).as_it_runs(optimizer, device, world)
        parallel.train()
        for module in frozen:
            module.eval()  # fixed batch-norm statistics
        drawn = source.training.drawn(
            *(config.batch_size, config.augmentation, config.seed, epoch, rank, world, config.mixup, config.cutmix)
        )
        for number, batch in enumerate(watch.each("data", drawn), 1):
            if average:
                average.advance((epoch - 1) * steps + number)
            run(*batch)
            rate.step()
            if number % _CHECK == 0 and not meter.finite():
                break  # every further step would be wasted
        metrics: dict[str, Any] = meter.result("train")
        trained = time.perf_counter() - began
        with watch.lap("evaluation"):
            metrics |= evaluation()
        spent = watch.seconds()
        metrics |= {
            "epoch": epoch,
            "learning_rate": rate.value,
            "images_per_second": min(len(training), steps * config.batch_size) / trained,
            "seconds": time.perf_counter() - began,
            **{f"{name}_seconds": spent[name] for name in ("data", "steps", "evaluation")},
            "peak_memory_mib": peak_memory(device) + run.held + evaluation.held,
            "parts": parts,
            "computed_in": "; ".join(filter(None, (plan.told, source.told, run.told))),
        }
        rate.end_epoch(metrics["val_loss"])
        _judge(metrics, history, config, OBJECTIVES[objective])
        history.append(metrics)
        if rank == 0:
            best = judged if metrics["best_epoch"] == epoch else None
            keeper.keep(folder, epoch, model, state_now, best, data.card.classes, metrics["finished"])
        if on_epoch is not None:
            on_epoch(metrics, folder)

    last = history[-1]
    best = history[last["best_epoch"] - 1]
    total = sum(metrics["seconds"] for metrics in history)
    return Outcome(len(history), last["best_epoch"], best, history, last["reason"], total)


def _judge(metrics: dict[str, Any], history: list[dict[str, Any]], config: TrialConfig, aim: Aim) -> None:
    """Add the best epoch so far, and whether and why the run ends here."""
    epoch, value, accuracy = metrics["epoch"], metrics[aim.column], metrics["val_accuracy"]
    best, best_epoch = (history[-1][aim.best], history[-1]["best_epoch"]) if history else (value, epoch)
    if aim.better(value, best):
        best, best_epoch = value, epoch
    reason = ""
    if not (math.isfinite(metrics["train_loss"]) and math.isfinite(metrics["val_loss"])):
        reason = f"diverged: the loss was not finite in epoch {epoch}"
    elif config.target_accuracy is not None and accuracy >= config.target_accuracy:
        reason = f"target accuracy: {accuracy:.4f} reached"
    elif config.early_stopping is not None and epoch - best_epoch >= config.early_stopping:
        reason = f"early stopping: no better {aim.meaning} for {amount(config.early_stopping, 'epoch')}"
    elif epoch >= config.epochs:
        reason = "all epochs done"
    metrics |= {aim.best: best, "best_epoch": best_epoch, "finished": bool(reason), "reason": reason}
