"""The training loop inside Ray Train: one device in its local mode, or a group of workers.

Every trial goes through ``TorchTrainer``.  With one worker it runs in Ray Train's documented local mode
(``num_workers=0``): the loop runs in the trial's own process, which Tune reuses, so the next trial starts in
under half a second instead of some forty (tests/benchmarks/search.py; Ray 2.60, 2 loaded cores).  In local mode
inside Tune, Ray Train's own ``report`` refuses to work, so the loop reports to Tune there and to Ray Train in a
worker group; that is all that differs.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray.train
import torch
import torch.distributed as dist
from ray import tune
from ray.train import WorkerGroupError
from ray.train.torch import TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from fer_tune.config import FIELDS, trial_config
from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.kinds import TOO_LARGE
from fer_tune.objectives import OBJECTIVES, Judged
from fer_tune.ray_internals import trial_storage
from fer_tune.training.failures import gravest, verdict
from fer_tune.training.keeping import checkpoint
from fer_tune.training.keeping.background import BackgroundKeeper
from fer_tune.training.loop import train
from fer_tune.training.memory.gpu_share import hold_to_share
from fer_tune.training.memory.leftover import WORN_OUT, clean_up, default_bound, worn_out
from fer_tune.training.memory.parts import more_parts
from fer_tune.training.probing.footprint import footprint

_TRIED = "tried_again"
"""A file in the folder of a trial that failed of something which may strike again or not."""

_EPOCH = "epoch"
"""A file that says which state a checkpoint stands for."""


@dataclass(frozen=True)
class TrialSetup:
    """What all trials of a search share."""

    dataset: str  # path of the prepared dataset, the same on every node
    cpus: float  # per worker
    gpus: float  # per worker
    workers: int  # data-parallel workers of one trial
    objective: Judged = "val_accuracy"  # what trials are judged by
    checkpoint_every: float | None = None  # seconds between two checkpoints of a trial; see `BackgroundKeeper`
    measure: bool = False  # the network's latency and size, once per trial
    labels: dict[str, str] = field(default_factory=dict)  # of the nodes that may be used
    content_hash: str = ""  # that the dataset must have, for another may be put in its place meanwhile; empty: any
    leftover_mib: float | None = None  # trials may leave behind in a reused process; a share of the machine's memory


def run_trial(config: dict[str, Any], setup: TrialSetup) -> None:
    """Train one trial inside Ray Tune; the metrics of every epoch are reported to Tune.

    What is written is written in the background, see :mod:`fer_tune.training.keeping.background`.  Tune is told of a
    state that is there by a checkpoint which holds the number of its epoch alone, so a trial that is restored goes on
    from what Tune's snapshot knows.

    A fault that would strike again, such as settings that do not fit or too little memory, ends the trial with a
    result that names it (``error``) and is not retried; where the batch does not fit in parts of any size, that also
    says `TOO_LARGE`.  One that passes is raised, for Tune to try the trial again
    from its last checkpoint, see :mod:`fer_tune.training.failures`; so is a process or a node that dies.

    Results say `WORN_OUT` where the process should run no other trial: the ones before this have left too much memory
    behind, or this one failed of something else than its settings.
    """
    bound = default_bound(setup.cpus) if setup.leftover_mib is None else setup.leftover_mib
    worn = setup.workers == 1 and worn_out(bound)
    settings = {name: config[name] for name in FIELDS if name in config}
    arguments: dict[str, Any] = {"config": settings, "setup": setup, "parts": 1, "place": trial_storage()}
    arguments["extra"] = {WORN_OUT: True} if worn else {}
    try:
        if setup.workers == 1:
            scaling = ray.train.ScalingConfig(num_workers=0, use_gpu=setup.gpus > 0)
            TorchTrainer(_train_worker, train_loop_config=arguments, scaling_config=scaling).fit()
        else:
            _fit_in_parts(arguments, setup)
    except Exception as raised:
        error = _cause(raised)
        found = verdict(error)
        if found == "passing" or (found == "doubtful" and _first_time()):
            raise
        failed = {
            "epoch": 0,
            OBJECTIVES[setup.objective].best: float("nan"),
            "finished": True,
            "error": _told(error, config),
            TOO_LARGE: isinstance(error, torch.OutOfMemoryError),
        }
        tune.report(failed | {WORN_OUT: worn or not isinstance(error, UserError)})
    finally:
        clean_up()  # the next trial of this process starts clean


def _fit_in_parts(arguments: dict[str, Any], setup: TrialSetup) -> None:
    """Train in a group of workers, with the batch in twice as many parts each time that one has too little memory.

    Within a group nobody tries again by himself: the others would wait for him.
    """
    images = trial_config(arguments["config"]).batch_size // setup.workers
    while True:
        try:
            _fit_group(arguments, setup)
            return
        except WorkerGroupError as error:
            more = more_parts(arguments["parts"], images)
            if not isinstance(_cause(error), torch.OutOfMemoryError) or more is None:
                raise
            arguments = {**arguments, "parts": more}


def _fit_group(arguments: dict[str, Any], setup: TrialSetup) -> None:
    path, filesystem = arguments["place"]
    resources: dict[str, float] = {"CPU": setup.cpus}
    if setup.gpus:
        resources["GPU"] = setup.gpus
    TorchTrainer(
        _train_worker,
        train_loop_config=arguments,
        scaling_config=ray.train.ScalingConfig(
            num_workers=setup.workers,
            use_gpu=setup.gpus > 0,
            resources_per_worker=resources,
            label_selector=setup.labels or None,  # type: ignore[call-arg]  # of Ray Train V2, which Ray 2.60 uses
        ),
        run_config=ray.train.RunConfig(
            name="train",  # a stable name: a restarted trial finds its own checkpoints
            storage_path=path,
            storage_filesystem=filesystem,  # the path alone is that of a store without its scheme
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=checkpoint.KEPT),
            # Tune tries again, and only what may pass: Ray Train would try whatever it is, each time that Tune does.
            failure_config=ray.train.FailureConfig(max_failures=0),
            callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # Ray passes it on to both
        ),
    ).fit()


def _train_worker(arguments: dict[str, Any]) -> None:
    """Train on this worker's device.

    Args:
        arguments: ``config`` (plain values), ``setup``, ``parts``, what ``extra`` to report, and the ``place`` of the
            trial: the path of its folder, and the filesystem that it is on.
    """
    setup: TrialSetup = arguments["setup"]
    group = dist.is_initialized()
    torch.set_num_threads(max(1, int(setup.cpus)))
    config = trial_config(arguments["config"])
    data, device = PreparedDataset.open(setup.dataset), get_device()
    if setup.content_hash:
        data.check_content(setup.content_hash, "prepare the same one again, then resume with --retry-failed")
    hold_to_share(setup.gpus, device)
    extra: dict[str, Any] = dict(arguments["extra"])
    if setup.measure and not (group and dist.get_rank()):
        extra |= footprint(config, data.card, device)
    folder = Path(tempfile.mkdtemp(prefix="fer-tune-"))
    path, filesystem = arguments["place"]
    keeper = BackgroundKeeper(path, filesystem, setup.checkpoint_every, last_word=group)  # a group is killed at once

    def report(metrics: dict[str, Any], _: Path) -> None:
        metrics = metrics | extra
        if group and dist.get_rank():
            ray.train.report(metrics)
            return
        epoch = keeper.ready()
        with tempfile.TemporaryDirectory(prefix="fer-tune-") as note:
            if epoch is not None:
                (Path(note) / _EPOCH).write_text(str(epoch), encoding="utf-8")
            if group:
                ray.train.report(metrics, checkpoint=ray.train.Checkpoint(note) if epoch is not None else None)
            else:
                tune.report(metrics, checkpoint=tune.Checkpoint(note) if epoch is not None else None)
        if epoch is not None:
            keeper.name(epoch)

    try:
        noted = ray.train.get_checkpoint() if group else tune.get_checkpoint()
        if noted is not None:
            with noted.as_directory() as note:
                keeper.fetch(int((Path(note) / _EPOCH).read_text(encoding="utf-8")), folder)
        how: dict[str, Any] = {"objective": setup.objective, "parts": arguments["parts"], "keeper": keeper}
        train(config, data, folder, device=device, on_epoch=report, **how)
    finally:
        keeper.close()
        shutil.rmtree(folder, ignore_errors=True)


def _cause(error: Exception) -> Exception:
    """Return what went wrong in a group of workers, or ``error`` itself."""
    failures = list(error.worker_failures.values()) if isinstance(error, WorkerGroupError) else []
    return gravest(failures) if failures else error


def _first_time() -> bool:
    """Return whether this trial asks for the first time, in whichever process it ran before."""
    path, filesystem = trial_storage()
    mark = f"{path}/{_TRIED}"
    if filesystem.get_file_info(mark).is_file:
        return False
    filesystem.create_dir(path, recursive=True)
    filesystem.open_output_stream(mark).close()
    return True


def _told(error: Exception, config: dict[str, Any]) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError):
        told = str(error).splitlines()[0]
        return f"out of memory at batch_size {config.get('batch_size')}: {told}"
    return f"{type(error).__name__}: {error}"
