"""The search engine: checks everything, makes the run folder, and lets Ray Tune run the trials."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pyarrow.parquet as pq
from ray import tune
from ray.tune.experiment import Trial

from fer_tune.config import trial_config
from fer_tune.data.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.run_folder import DatasetRef, RunFolder, SearchSettings
from fer_tune.search.hardware import Resources, describe, package_versions
from fer_tune.search.progress import Progress
from fer_tune.search.ray_session import ray_session
from fer_tune.search.recorder import Recorder
from fer_tune.search.scheduler import METRIC, BackboneASHA, KeepRungs
from fer_tune.search.searcher import StudySearcher
from fer_tune.search.space import SearchSpace, load_space
from fer_tune.tracking.mode import resolve_mode
from fer_tune.tracking.wandb_callback import WandbCallback
from fer_tune.training.evaluation import build_model
from fer_tune.training.ray_worker import TrialSetup, run_trial

if TYPE_CHECKING:
    from fer_tune.tracking.mode import Choice

_EXPERIMENT = "tune"


@dataclass(frozen=True)
class SearchOptions:
    """What a user asks of a search; None means chosen from the machine."""

    data: Path
    backbones: list[str]
    trials: int = 20
    epochs: int = 12
    time_budget_seconds: float | None = None
    name: str | None = None
    storage: Path = field(default_factory=lambda: Path("runs"))
    seed: int = 0
    cpus_per_trial: float | None = None
    gpus_per_trial: float | None = None
    workers_per_trial: int = 1
    concurrent: int | None = None
    spaces: list[str] = field(default_factory=list)  # files instead of the shipped spaces
    grace_period: int = 2
    reduction_factor: int = 3
    published: bool = True
    wandb: Choice = "auto"


@dataclass(frozen=True)
class Ended:
    """How a search ended."""

    run: RunFolder
    finished: bool  # every trial has ended; else it was interrupted or its time was up
    interrupted: bool


def search(options: SearchOptions) -> Ended:
    """Check the options, make the run folder and search.

    Raises:
        UserError: before any compute, everything that is wrong with a setting.
    """
    data = PreparedDataset.open(options.data)
    data.verify()
    spaces = _spaces(options)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _check_weights(spaces, data)
    wandb = resolve_mode(options.wandb)
    run = _new_run_folder(options, data)
    with ray_session(dashboard=options.workers_per_trial > 1):
        resources = Resources.choose(
            options.cpus_per_trial, options.gpus_per_trial, options.workers_per_trial, options.concurrent
        )
        published = {name: space.published_for(data.card.name) for name, space in spaces.items()}
        if not options.published:
            published = {name: [] for name in spaces}
        settings = SearchSettings(
            name=run.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            dataset=DatasetRef(
                path=str(data.path),
                name=data.card.name,
                content_hash=data.card.content_hash,
                classes=data.card.classes,
            ),
            backbones=list(spaces),
            trials=options.trials,
            epochs=options.epochs,
            time_budget_seconds=options.time_budget_seconds,
            seed=options.seed,
            grace_period=options.grace_period,
            reduction_factor=options.reduction_factor,
            cpus_per_trial=resources.cpus,
            gpus_per_trial=resources.gpus,
            workers_per_trial=resources.workers,
            concurrent=resources.concurrent,
            wandb=wandb,
            spaces={name: space.resolved() for name, space in spaces.items()},
            published=published,
            versions=package_versions(),
            hardware=describe(),
        )
        run.path.mkdir(parents=True)
        run.write_settings(settings)
        return _fit(_tuner(run, settings, spaces), run, settings)


def resume(path: Path) -> Ended:
    """Go on with a search that was interrupted, from Tune's last snapshot and the trials' last checkpoints.

    Raises:
        UserError: no such run, its dataset is gone or changed, or it never got as far as a snapshot.
    """
    run = RunFolder.open(path)
    settings = run.settings()
    data = PreparedDataset.open(settings.dataset.path)
    data.verify()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if data.card.content_hash != settings.dataset.content_hash:
        raise UserError(
            f"{settings.dataset.path}: its content is not what {run.name} searched on; prepare the same dataset "
            "again, or start another search"
        )
    setup = _setup(settings)
    with ray_session(dashboard=settings.workers_per_trial > 1):
        if tune.Tuner.can_restore(str(run.tune)):
            trainable = _trainable(settings, setup)
            tuner = tune.Tuner.restore(str(run.tune), trainable, resume_unfinished=True)
        else:  # it died before Tune's first snapshot: nothing to keep
            run.study_file.unlink(missing_ok=True)
            spaces = {name: SearchSpace.from_resolved(space) for name, space in settings.spaces.items()}
            tuner = _tuner(run, settings, spaces)
        return _fit(tuner, run, settings)


def _spaces(options: SearchOptions) -> dict[str, SearchSpace]:
    from_files = {space.backbone: space for space in (load_space(file) for file in options.spaces)}
    for backbone in from_files:
        if backbone not in options.backbones:
            raise UserError(
                f"--space: the file for {backbone} is of no use, since --backbone names {', '.join(options.backbones)}"
            )
    return {name: from_files.get(name) or load_space(name) for name in dict.fromkeys(options.backbones)}


def _check_weights(spaces: dict[str, SearchSpace], data: PreparedDataset) -> None:
    """Load the weights that trials start from, so that missing ones are told once, before the search starts."""
    for backbone, space in spaces.items():
        start = {name: space.fixed[name] for name in ("pretrained", "weights") if space.fixed.get(name)}
        if start:
            build_model(trial_config({"backbone": backbone, "epochs": 1, **start}), data.card)


def _new_run_folder(options: SearchOptions, data: PreparedDataset) -> RunFolder:
    if "://" in str(options.storage) or str(options.storage).startswith(("s3:/", "gs:/")):
        raise UserError(f"--storage {options.storage}: run folders go to a folder that all nodes see, not to a URI")
    storage = options.storage.expanduser().resolve()
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    name = options.name or f"{data.card.name}-{'-'.join(options.backbones[:2])}-{stamp}"
    if "/" in name or name in (".", ".."):
        raise UserError(f"--name {name}: a run's name is the name of a folder; take the slashes out")
    try:
        storage.mkdir(parents=True, exist_ok=True)
        probe = storage / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"--storage {options.storage}: not writable ({error.strerror}); choose another") from None
    if (storage / name).exists():
        raise UserError(
            f"run {name} exists in {options.storage}: go on with it by `fer-tune resume {options.storage / name}`, or "
            "choose another --name"
        )
    return RunFolder(storage / name)


def _setup(settings: SearchSettings) -> TrialSetup:
    return TrialSetup(
        settings.dataset.path, settings.cpus_per_trial, settings.gpus_per_trial, settings.workers_per_trial
    )


def _trainable(settings: SearchSettings, setup: TrialSetup) -> Any:
    trainable = tune.with_parameters(run_trial, setup=setup)
    if setup.workers > 1:
        # Ray Train makes a placement group of its own for the workers, so the trial itself must not take a part of a
        # CPU from them; Tune wants some resource, and every head has this one.
        return tune.with_resources(trainable, {"node:__internal_head__": 0.001})
    resources = {"CPU": setup.cpus, "GPU": setup.gpus} if setup.gpus else {"CPU": setup.cpus}
    return tune.with_resources(trainable, resources)


def _tuner(run: RunFolder, settings: SearchSettings, spaces: dict[str, SearchSpace]) -> tune.Tuner:
    total = settings.trials * len(spaces)
    scheduler = BackboneASHA(list(spaces), settings.epochs, settings.grace_period, settings.reduction_factor)
    callbacks: list[tune.Callback] = [
        KeepRungs(scheduler),
        Recorder(run.path),
        Progress(total, settings.epochs, settings.concurrent, settings.time_budget_seconds),
    ]
    if settings.wandb != "disabled":
        callbacks.append(WandbCallback(run.path, settings.name, settings.dataset.name, settings.wandb))
    return tune.Tuner(
        _trainable(settings, _setup(settings)),
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            search_alg=StudySearcher(
                spaces, settings.published, settings.trials, settings.epochs, settings.seed, run.study_file
            ),
            scheduler=scheduler,
            num_samples=total,
            max_concurrent_trials=settings.concurrent,
            # A reused process starts the next trial in under half a second.  A worker group blocks the thread
            # that Tune would have to unwind, so there it must be off.
            reuse_actors=settings.workers_per_trial == 1,
            trial_dirname_creator=_trial_name,
            trial_name_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=_EXPERIMENT,
            storage_path=str(run.path),
            callbacks=callbacks,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )


def _trial_name(trial: Trial) -> str:
    return str(trial.trial_id)


def _fit(tuner: tune.Tuner, run: RunFolder, settings: SearchSettings) -> Ended:
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    with _interruptible(settings.time_budget_seconds) as interrupted:
        tuner.fit()
    # Tune calls a trial that an interrupt cut short TERMINATED; our own record knows that it did not end.
    statuses = pq.read_table(run.trials_file, columns=["status"]).column("status").to_pylist()
    ended = len(statuses) - statuses.count("running")
    finished = ended >= settings.trials * len(settings.backbones)
    return Ended(run, finished, bool(interrupted) and not finished)


@contextmanager
def _interruptible(time_budget: float | None) -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM while Tune stops cleanly; Tune itself listens to SIGINT only.

    A spent time budget stops in the same way: Tune's own ``time_budget_s`` marks running trials as ended and the
    searcher as finished, so that nothing could be resumed.
    """
    seen: list[int] = []

    def stop(number: int, frame: Any) -> None:
        seen.append(number)
        if len(seen) > 1 or not _tune_listens():
            sys.exit(130)
        os.kill(os.getpid(), signal.SIGUSR1)

    def time_is_up() -> None:
        while not _tune_listens():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, signal.SIG_DFL)  # that of an earlier search in this process would hear us in vain
    clock = threading.Timer(time_budget or 0, time_is_up)
    clock.daemon = True
    if time_budget is not None:
        clock.start()
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        clock.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _tune_listens() -> bool:
    """Whether Tune has set up its other signal to end after saving its state; before that it would kill us."""
    return signal.getsignal(signal.SIGUSR1) is not signal.SIG_DFL
