"""The search engine: checks everything, makes the run folder, and lets Ray Tune run the trials."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pyarrow.parquet as pq
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from fer_tune.data.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.run_folder import Candidate, DatasetRef, RunFolder, SearchSettings
from fer_tune.search.fresh import FreshProcesses
from fer_tune.search.hardware import Resources, describe, lacking, package_versions
from fer_tune.search.median import BackboneMedian
from fer_tune.search.objectives import second_of
from fer_tune.search.options import SearchOptions, chosen_spaces
from fer_tune.search.progress import Progress, output
from fer_tune.search.ray_session import ray_session
from fer_tune.search.recorder import Recorder
from fer_tune.search.room import Room
from fer_tune.search.scheduler import METRIC, BackboneASHA, KeepScheduler
from fer_tune.search.searcher import StudySearcher, planned_trials
from fer_tune.search.shared_folder import check_shared
from fer_tune.search.space import SearchSpace
from fer_tune.search.stopping import ALIKE, Limits, ask_to_stop, failing_alike, interruptible
from fer_tune.search.warm_start import starts
from fer_tune.search.weights import check_weights
from fer_tune.storage.moved import moved_to
from fer_tune.storage.runs import kept, new_run, open_run, tune_storage
from fer_tune.storage.uris import local_path, run_uri
from fer_tune.tracking.mode import resolve_mode
from fer_tune.tracking.wandb_callback import WandbCallback
from fer_tune.training import checkpoint
from fer_tune.training.ray_worker import TrialSetup, run_trial

_EXPERIMENT = "tune"


@dataclass(frozen=True)
class Ended:
    """How a search ended."""

    run: RunFolder
    finished: bool  # every trial has ended
    interrupted: bool
    reason: str = ""  # why it ended before that, if nobody interrupted it
    gave_up: bool = False  # because trials failed alike


def search(options: SearchOptions) -> Ended:
    """Check the options, make the run folder and search.

    Raises:
        UserError: before any compute, everything that is wrong with a setting.
    """
    data = PreparedDataset.open(options.data)
    data.verify()
    spaces = chosen_spaces(options)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    told = check_weights(spaces, data, options.published)
    wandb = resolve_mode(options.wandb)
    backbones = list(spaces)
    warm_start = starts(options, spaces)
    run = _new_run_folder(options, data)
    if output() == "text" and told:
        print(*told, sep="\n", file=sys.stderr)
    with ray_session(dashboard=options.workers_per_trial > 1) as joined:
        resources = Resources.choose(
            options.cpus_per_trial,
            options.gpus_per_trial,
            options.workers_per_trial,
            options.concurrent,
            joined=joined,
            labels=options.node_labels,
        )
        published = {name: space.published_for(data.card.name) for name, space in spaces.items()}
        if not options.published:
            published = {name: [] for name in spaces}
        first = {name: [*published[name], *warm_start.get(name, [])] for name in spaces}
        planned = planned_trials(spaces, first, options.trials, options.sampler)
        settings = SearchSettings(
            name=run.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            dataset=DatasetRef(
                path=data.location,
                name=data.card.name,
                content_hash=data.card.content_hash,
                classes=data.card.classes,
            ),
            backbones=backbones,
            trials=max(planned.values()),
            planned=planned,
            epochs=options.epochs,
            time_budget_seconds=options.time_budget_seconds,
            target_accuracy=options.target_accuracy,
            seed=options.seed,
            objectives=list(options.objectives),
            sampler=options.sampler,
            scheduler=options.scheduler,
            grace_period=options.grace_period,
            reduction_factor=options.reduction_factor,
            brackets=options.brackets,
            cpus_per_trial=resources.cpus,
            gpus_per_trial=resources.gpus,
            workers_per_trial=resources.workers,
            node_labels=options.node_labels,
            concurrent=resources.concurrent,
            wandb=wandb,
            spaces={name: space.resolved() for name, space in spaces.items()},
            published=published,
            warm_start=warm_start,
            versions=package_versions(),
            hardware=describe(),
        )
        _look_for_room(run, settings, joined=joined)
        check_shared(run.path, settings.node_labels)
        run.path.mkdir(parents=True)
        run.write_settings(settings)
        with kept(run.path, when_lost=ask_to_stop):
            return _fit(_tuner(run, settings, spaces), run, settings)


def resume(path: Path | str) -> Ended:
    """Go on with a search that was interrupted, from Tune's last snapshot and the trials' last checkpoints.

    Raises:
        UserError: no such run, its dataset is gone or changed, or it never got as far as a snapshot.
    """
    run = open_run(path)
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
    with ray_session(dashboard=settings.workers_per_trial > 1) as joined:
        if _ended(run) < _planned(settings):
            _look_for_room(run, settings, joined=joined)
        check_shared(run.path, settings.node_labels)
        # Tune's state names the folder where the search began
        with kept(run.path, when_lost=ask_to_stop), moved_to(run.path):
            return _fit(_restored(run, settings, setup), run, settings)


def _restored(run: RunFolder, settings: SearchSettings, setup: TrialSetup) -> tune.Tuner:
    storage = tune_storage(run.path)
    place, filesystem = f"{storage['storage_path']}/{_EXPERIMENT}", storage.get("storage_filesystem")
    if tune.Tuner.can_restore(place, filesystem):
        trainable = _trainable(settings, setup)
        return tune.Tuner.restore(place, trainable, resume_unfinished=True, storage_filesystem=filesystem)
    run.study_file.unlink(missing_ok=True)  # it died before Tune's first snapshot: nothing to keep
    return _tuner(run, settings, {name: SearchSpace.from_resolved(space) for name, space in settings.spaces.items()})


def _new_run_folder(options: SearchOptions, data: PreparedDataset) -> RunFolder:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    name = options.name or f"{data.card.name}-{'-'.join(options.backbones[:2])}-{stamp}"
    if "/" in name or name in (".", ".."):
        raise UserError(f"--name {name}: a run's name is the name of a folder; take the slashes out")
    if uri := run_uri(options.storage):
        return new_run(uri, name)
    storage = local_path(options.storage).expanduser().resolve()
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


def _look_for_room(run: RunFolder, settings: SearchSettings, *, joined: bool) -> None:
    """Say what the trials have to wait for on a cluster, which may grow.

    Raises:
        UserError: they would wait for ever on this machine.
    """
    missing = lacking(
        settings.cpus_per_trial, settings.gpus_per_trial, settings.workers_per_trial, settings.node_labels
    )
    if missing and not joined:
        raise UserError(f"{run.name}: {missing}; go on with it on a larger machine or a cluster")
    if missing:
        print(f"waiting for nodes: {missing}. `ray status` shows what the autoscaler does", file=sys.stderr)


def _ended(run: RunFolder) -> int:
    """Return the number of trials on record that have ended in any way.

    Tune calls a trial that an interrupt cut short TERMINATED; our own record knows that it did not end.
    """
    if not run.trials_file.is_file():
        return 0
    return sum(status != "running" for status in pq.read_table(run.trials_file)["status"].to_pylist())


def _setup(settings: SearchSettings) -> TrialSetup:
    return TrialSetup(
        settings.dataset.path,
        settings.cpus_per_trial,
        settings.gpus_per_trial,
        settings.workers_per_trial,
        measure=bool({"latency", "parameters"} & set(settings.objectives)),
        labels=settings.node_labels,
    )


def _trainable(settings: SearchSettings, setup: TrialSetup) -> Any:
    trainable = tune.with_parameters(run_trial, setup=setup)
    if setup.workers > 1:
        # Ray Train makes a placement group of its own for the workers, so the trial itself must not take a part of a
        # CPU from them; Tune wants some resource, and every head has this one.
        return tune.with_resources(trainable, {"node:__internal_head__": 0.001})
    resources = {"CPU": setup.cpus, "GPU": setup.gpus} if setup.gpus else {"CPU": setup.cpus}
    selected: dict[str, Any] = {"bundle_label_selector": [setup.labels]} if setup.labels else {}
    return tune.with_resources(trainable, tune.PlacementGroupFactory([resources], **selected))


def _first(settings: SearchSettings) -> dict[str, list[Candidate]]:
    return {name: [*settings.published[name], *settings.warm_start.get(name, [])] for name in settings.backbones}


def _planned(settings: SearchSettings) -> int:
    """Return the number of trials of all backbones, also of a grid search begun before it was kept in the settings."""
    if settings.planned or settings.sampler != "grid":
        return settings.total
    spaces = {name: SearchSpace.from_resolved(space) for name, space in settings.spaces.items()}
    return sum(planned_trials(spaces, _first(settings), settings.trials, settings.sampler).values())


def _scheduler(settings: SearchSettings) -> tuple[TrialScheduler, list[tune.Callback]]:
    """Return the scheduler, and the callback that carries what it knows through a resume."""
    if settings.scheduler == "none":
        return FreshProcesses(), []  # every trial runs to its end
    chosen = (
        BackboneMedian(settings.grace_period)
        if settings.scheduler == "median"
        else BackboneASHA(
            settings.backbones, settings.epochs, settings.grace_period, settings.reduction_factor, settings.brackets
        )
    )
    return chosen, [KeepScheduler(chosen)]


def _tuner(run: RunFolder, settings: SearchSettings, spaces: dict[str, SearchSpace]) -> tune.Tuner:
    total = _planned(settings)
    scheduler, keepers = _scheduler(settings)
    room = None
    if settings.concurrent is None:
        room = Room(settings.cpus_per_trial, settings.gpus_per_trial, settings.node_labels)
        keepers.append(room)
    workers = settings.workers_per_trial
    per_trial = (settings.cpus_per_trial * workers, settings.gpus_per_trial * workers)
    callbacks: list[tune.Callback] = [
        Limits(settings.target_accuracy),
        Recorder(run.path),
        Progress(total, settings.epochs, settings.concurrent, settings.time_budget_seconds, per_trial),
        *keepers,
    ]
    if settings.wandb != "disabled":
        callbacks.append(WandbCallback(run.path, settings.name, settings.dataset.name, settings.wandb))
    return tune.Tuner(
        _trainable(settings, _setup(settings)),
        tune_config=tune.TuneConfig(
            metric=METRIC,
            mode="max",
            search_alg=StudySearcher(
                spaces,
                _first(settings),
                settings.trials,
                settings.epochs,
                settings.seed,
                run.study_file,
                settings.sampler,
                settings.scheduler,
                second_of(settings.objectives),
                room,
            ),
            scheduler=scheduler,
            num_samples=total,
            max_concurrent_trials=settings.concurrent or total,  # no bound: the room sets it
            # A reused process starts the next trial in under half a second.  A worker group blocks the thread
            # that Tune would have to unwind, so there it must be off.
            reuse_actors=settings.workers_per_trial == 1,
            trial_dirname_creator=_trial_name,
            trial_name_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=_EXPERIMENT,
            **tune_storage(run.path),
            callbacks=callbacks,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=checkpoint.KEPT),
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )


def _trial_name(trial: Trial) -> str:
    return str(trial.trial_id)


def _fit(tuner: tune.Tuner, run: RunFolder, settings: SearchSettings) -> Ended:
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    with interruptible(settings.time_budget_seconds) as interrupted:
        tuner.fit()
    if _ended(run) >= _planned(settings):
        return Ended(run, finished=True, interrupted=False)
    if interrupted:
        return Ended(run, finished=False, interrupted=True)
    rows = pq.read_table(run.trials_file, columns=["error", "best_val_accuracy"]).to_pylist()
    alike = failing_alike([row["error"] for row in rows if row["error"]])
    if alike is not None:
        return Ended(run, False, False, f"at least {ALIKE} trials failed for one reason: {alike}", gave_up=True)
    best = max((row["best_val_accuracy"] or 0.0 for row in rows), default=0.0)
    if settings.target_accuracy is not None and best >= settings.target_accuracy:
        return Ended(run, False, False, f"the target of {settings.target_accuracy:.2%} validation accuracy is reached")
    return Ended(run, False, False, "the time budget is spent")
