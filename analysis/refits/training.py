"""Train the planned configurations with every seed, several at a time through Ray; each lands on disk as it ends."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from analysis.refits.joined import JoinedDataset
from analysis.run import RunRecord
from fer_tune.amounts import amount
from fer_tune.config import FIELDS, TrialConfig, trial_config
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.files import write_json
from fer_tune.filing.layout import EPOCHS, RESULT, seed_folder
from fer_tune.filing.tables import write_table
from fer_tune.objectives import JUDGED, Judged
from fer_tune.run_folder import EPOCH_COLUMNS, FinalPlan, RefitPlan, RefitResult, RunFolder, TrainedOn
from fer_tune.storage.runs import refreshed, working_copy

ATTEMPTS = 2  # a refit that fails is tried once more

Train = Callable[..., Any]
"""`fer_tune.training.loop.train`, or a stand-in with its signature."""


@dataclass(frozen=True)
class RefitTask:
    """One configuration with one seed, and where it is trained."""

    config_id: str
    seed: int
    folder: Path
    config: TrialConfig
    on: TrainedOn = "train"
    stop_epoch: int | None = None  # train for just so many epochs and keep the last one's weights
    run: RunFolder | None = None  # that it belongs to
    objective: Judged = "val_accuracy"  # by which the best epoch is kept
    checkpoint_every: float | None = None  # seconds, as in the search
    content_hash: str = ""  # that the dataset must have, for another may be put in its place meanwhile; empty: any

    @property
    def name(self) -> str:
        """``<config_id>/seed_<s>``, with ``train_val`` in between for one on train and val together."""
        return seed_folder(self.config_id, self.seed, self.on)

    @property
    def store(self) -> str:
        """URI of the folder where its run lives in a store; else empty, and every node sees the folder."""
        return self.run.uri_of(self.folder) if self.run else ""

    @property
    def epochs(self) -> int:
        """Epochs that it is trained for at most."""
        return self.stop_epoch or self.config.epochs


@dataclass(frozen=True)
class Ending:
    """How one attempt ended: a result, or why there is none."""

    task: RefitTask
    result: RefitResult | None
    error: str | None = None
    details: str = field(default="", repr=False)


class Pool(Protocol):
    """What runs the tasks: Ray, or a stand-in."""

    def submit(self, task: RefitTask) -> None:
        """Start ``task`` as soon as there is room."""

    def wait(self, seconds: float) -> list[Ending]:
        """Return the tasks that have ended, after ``seconds`` at most."""

    def cancel(self) -> None:
        """Stop everything that has not ended."""


def pending_tasks(run: RunRecord, plan: RefitPlan) -> list[RefitTask]:
    """Return what is still to be trained: seed by seed, so that every configuration has its first seeds early.

    Finished refits are left out; failed ones are tried again.

    Raises:
        UserError: a configuration is not valid any more.
    """
    tasks = []
    for seed in plan.seeds:
        for config in plan.configs:
            result = run.refit_result(config.config_id, seed)
            if result is not None and result.status == "completed":
                continue
            epochs = config.epochs or plan.epochs
            values = {**config.config, "backbone": config.backbone, "epochs": epochs, "seed": seed}
            settings = trial_config(values, f"{run.folder.refit_file}: {config.config_id}")
            folder = run.folder.refit_seed(config.config_id, seed)
            how: dict[str, Any] = {"objective": run.objective, **_as_searched(run)}
            tasks.append(RefitTask(config.config_id, seed, folder, settings, run=run.folder, **how))
    return tasks


def pending_final_tasks(run: RunRecord, plan: FinalPlan) -> list[RefitTask]:
    """Return what is still to be trained on train and val together; see `pending_tasks`."""
    first = {config.config_id: config for config in run.folder.refit_plan().configs}
    tasks = []
    for seed in plan.seeds:
        for entry in plan.configs:
            result = run.refit_result(entry.config_id, seed, "train+val")
            if result is not None and result.status == "completed":
                continue
            config = first[entry.config_id]
            own: dict[str, Any] = {"backbone": config.backbone, "epochs": config.epochs or plan.epochs, "seed": seed}
            own |= {name: None for name in ("early_stopping", "target_accuracy") if name in FIELDS}  # both read val
            settings = trial_config({**config.config, **own}, f"{run.folder.refit_file}: {entry.config_id}")
            folder = run.folder.refit_seed(entry.config_id, seed, "train+val")
            task = RefitTask(entry.config_id, seed, folder, settings, "train+val", entry.stop_epoch, run.folder)
            tasks.append(replace(task, **_as_searched(run)))
    return tasks


def _as_searched(run: RunRecord) -> dict[str, Any]:
    return {"checkpoint_every": run.settings.checkpoint_every, "content_hash": run.settings.dataset.content_hash}


class _Enough(Exception):  # noqa: N818 - no error: the epoch that was fixed in advance is reached
    """Ends a training from its `on_epoch`; its weights are written by then."""


def train_one_away(
    task: RefitTask, data: Path | str, *, train: Train | None = None, device: str, threads: int
) -> RefitResult:
    """Train ``task`` on any node, in a copy of its folder that is brought from the store and sent back every epoch.

    What is written meanwhile is sent after the next epoch.

    Args:
        task: what to train, of a run in a store.
        data: the prepared dataset.
        train: see `train_one`.
        device: a torch device.
        threads: CPU threads of torch; 0 leaves them.
    """
    with working_copy(task.store) as (folder, send):
        own = replace(task, folder=folder)
        return train_one(own, data, train=train, device=device, threads=threads, after_epoch=send)


def train_one(
    task: RefitTask,
    data: Path | str,
    *,
    train: Train | None = None,
    device: str,
    threads: int,
    after_epoch: Callable[[], None] = lambda: None,
) -> RefitResult:
    """Train ``task`` in this process, going on from its last state if there is one; write its result last.

    Args:
        task: what to train.
        data: the prepared dataset.
        train: what trains; `fer_tune.training.loop.train` by default.
        device: a torch device.
        threads: CPU threads of torch; 0 leaves them.
        after_epoch: called when the epoch's metrics are in the task's folder.
    """
    import torch

    from analysis.refits.keeping import keeping

    if threads:
        torch.set_num_threads(threads)
    if train is None:
        from fer_tune.training.loop import train as loop

        train = loop
    task.folder.mkdir(parents=True, exist_ok=True)
    (task.folder / RESULT).unlink(missing_ok=True)  # of an attempt that failed
    file = task.folder / EPOCHS
    known = pq.read_table(file).to_pylist() if file.is_file() else []  # of an interrupted run
    rows: dict[int, dict[str, Any]] = {row["epoch"]: row for row in known}

    def record(metrics: dict[str, Any], _: Path) -> None:
        keeper.epoch_ended()
        rows[int(metrics["epoch"])] = _epoch_row(task, metrics)
        write_table([rows[epoch] for epoch in sorted(rows)], EPOCH_COLUMNS, file)
        after_epoch()
        if metrics["epoch"] == task.stop_epoch:
            raise _Enough

    dataset = PreparedDataset.open(data)
    if task.content_hash:
        dataset.check_content(task.content_hash, "prepare the same one again, and go on with `fer-tune refit`")
    with keeping(task.folder, task.checkpoint_every, task.stop_epoch) as (keeper, place):
        how: dict[str, Any] = {"device": device, "on_epoch": record, "keeper": keeper}
        if task.on == "train":
            outcome = train(task.config, dataset, place, objective=task.objective, **how)
            write_table([_epoch_row(task, metrics) for metrics in outcome.history], EPOCH_COLUMNS, file)
            result = RefitResult(
                config_id=task.config_id,
                seed=task.seed,
                status="completed",
                epochs=outcome.epochs,
                best_epoch=outcome.best_epoch,
                **{name: outcome.best[name] for name in JUDGED},
                seconds=outcome.seconds,
                error=outcome.reason if outcome.reason.startswith("diverged") else None,  # with what it reached
            )
        else:
            result = _train_joined(task, JoinedDataset(dataset.path, dataset.card), place, train, rows, how)
        write_json(result, task.folder / RESULT)
    return result


def _train_joined(
    task: RefitTask,
    dataset: PreparedDataset,
    place: Path,
    train: Train,
    rows: dict[int, dict[str, Any]],
    how: dict[str, Any],
) -> RefitResult:
    """Train on train and val together up to the epoch fixed in advance, whose weights are kept."""
    last, reason = task.stop_epoch or 0, ""
    with contextlib.suppress(_Enough):
        outcome = train(task.config, dataset, place, **how)
        last, reason = outcome.epochs, outcome.reason
    if last != task.stop_epoch and not reason.startswith("diverged"):
        raise RuntimeError(f"{task.name}: stopped after epoch {last} instead of {task.stop_epoch} ({reason})")
    return RefitResult(
        config_id=task.config_id,
        seed=task.seed,
        status="completed",
        epochs=last,
        best_epoch=last,
        seconds=sum(row["seconds"] or 0.0 for row in rows.values()),
        error=reason if reason.startswith("diverged") else None,
        trained_on="train+val",
    )


def _epoch_row(task: RefitTask, metrics: dict[str, Any]) -> dict[str, Any]:
    learnt = task.on == "train+val"  # what is measured on images that were trained on is no validation
    known = {name: None if learnt and name.startswith("val_") else metrics.get(name) for name in EPOCH_COLUMNS}
    return {**known, "trial_id": task.name, "backbone": task.config.backbone, "epoch": int(metrics["epoch"])}


def run_refits(
    tasks: list[RefitTask], pool: Pool, *, poll_seconds: float = 1.0
) -> Generator[Ending | None, None, None]:
    """Train ``tasks`` in ``pool``; yield each final ending, and None about every ``poll_seconds`` in between.

    A task that fails is tried once more; when that fails too, its failure is written as its result and yielded.
    Closing the iterator or an exception in its consumer (Ctrl-C) cancels what is still running.
    """
    left = {task.name: ATTEMPTS for task in tasks}
    try:
        for task in tasks:
            pool.submit(task)
        while left:
            for ending in pool.wait(poll_seconds):
                name = ending.task.name
                left[name] -= 1
                if ending.result is None and left[name] > 0:
                    pool.submit(ending.task)
                    continue
                del left[name]
                if ending.result is None:
                    _write_failure(ending)
                yield ending
            yield None
    finally:
        if left:
            pool.cancel()


def _write_failure(ending: Ending) -> None:
    task = ending.task
    task.folder.mkdir(parents=True, exist_ok=True)
    (task.folder / "error.txt").write_text(f"{ending.error}\n\n{ending.details}", encoding="utf-8")
    failed = RefitResult(
        config_id=task.config_id, seed=task.seed, status="failed", error=ending.error, trained_on=task.on
    )
    write_json(failed, task.folder / RESULT)


class RayPool:
    """Runs each task as a Ray task with its share of the CPUs and GPUs; needs a running Ray.

    With ``labels`` it runs them on nodes that have these alone, see :mod:`fer_tune.search.cluster.node_labels`.
    """

    def __init__(
        self,
        data: Path | str,
        cpus: float,
        gpus: float,
        train: Train | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        import ray

        from fer_tune.search.cluster.ray_address import named_cluster

        have = ray.cluster_resources()
        for kind, wanted, option in (("CPU", cpus, "--cpus-per-trial"), ("GPU", gpus, "--gpus-per-trial")):
            if wanted > have.get(kind, 0) and not named_cluster():  # a cluster may still grow
                raise UserError(
                    f"{option}: {wanted:g} asked for a refit, but Ray has {amount(have.get(kind, 0), kind)}"
                )
        device = "cuda" if gpus > 0 else "cpu"
        threads = max(1, round(cpus))

        def remote(task: RefitTask) -> RefitResult:
            import torch

            from fer_tune.training.memory.gpu_share import hold_to_share

            hold_to_share(gpus, torch.device(device))
            call = train_one_away if task.store else train_one
            return call(task, data, train=train, device=device, threads=threads)

        selected: dict[str, Any] = {"label_selector": dict(labels)} if labels else {}
        self._remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, **selected)(remote)
        self._running: dict[Any, RefitTask] = {}

    def submit(self, task: RefitTask) -> None:
        """See `Pool`."""
        self._running[self._remote.remote(task)] = task

    def wait(self, seconds: float) -> list[Ending]:
        """See `Pool`."""
        import ray

        done, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=seconds)
        endings = []
        for reference in done:
            task = self._running.pop(reference)
            try:
                endings.append(Ending(task, ray.get(reference)))
                if task.run:
                    refreshed(task.run, task.folder)
            except ray.exceptions.RayError as error:  # the task raised, or its process or node died
                cause = getattr(error, "cause", None) or error
                reason = f"{type(cause).__name__}: {cause}".strip().splitlines()[0]
                endings.append(Ending(task, None, reason, "".join(traceback.format_exception(error))))
        return endings

    def cancel(self) -> None:
        """See `Pool`."""
        import ray

        for reference in self._running:
            ray.cancel(reference, force=True)
        ray.wait(list(self._running), num_returns=len(self._running), timeout=10)
        self._running.clear()
