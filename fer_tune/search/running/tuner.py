"""Ray Tune's Tuner for the settings of a search: new, or restored from its last snapshot."""

from __future__ import annotations

from typing import Any, cast

from ray import tune
from ray.tune.experiment import Trial

from fer_tune.filing.layout import TUNE
from fer_tune.objectives import OBJECTIVES, Judged
from fer_tune.ray_internals import HEAD_NODE
from fer_tune.run_folder import RunFolder, SearchSettings
from fer_tune.search.cluster.room import Room
from fer_tune.search.proposing.objectives import second_of
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.running.clock import Clock
from fer_tune.search.running.ending import Limits
from fer_tune.search.running.open_ended import OpenEnded
from fer_tune.search.running.remains import Remains
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.search.stopping_early.schedulers import make_scheduler
from fer_tune.search.watching.progress import Progress
from fer_tune.search.watching.recorder import Recorder
from fer_tune.storage.runs import tune_storage
from fer_tune.tracking.wandb_callback import WandbCallback
from fer_tune.training.keeping import checkpoint
from fer_tune.training.ray_worker import TrialSetup, run_trial


def trial_setup(settings: SearchSettings) -> TrialSetup:
    """Return what all trials of a search share."""
    return TrialSetup(
        settings.dataset.path,
        settings.cpus_per_trial,
        settings.gpus_per_trial,
        settings.workers_per_trial,
        objective=cast(Judged, settings.objectives[0]),
        checkpoint_every=settings.checkpoint_every,
        measure=any(OBJECTIVES[name].measured for name in settings.objectives),
        labels=settings.node_labels,
        content_hash=settings.dataset.content_hash,
    )


def new_tuner(run: RunFolder, settings: SearchSettings, setup: TrialSetup, *, resuming: bool = False) -> tune.Tuner:
    """Return the Tuner of a search that begins, or what one that goes on is restored into, see `restored_tuner`."""
    scheduler, kept = make_scheduler(settings)
    if setup.workers == 1:
        scheduler.resources = _resources(setup)
    room = None
    if settings.concurrent is None:
        room = Room(settings.cpus_per_trial, settings.gpus_per_trial, settings.node_labels)
    workers = settings.workers_per_trial
    per_trial = (settings.cpus_per_trial * workers, settings.gpus_per_trial * workers)
    # Tune saves what they know by their places: what may be there or not at a resume comes last, and knows nothing.
    callbacks: list[tune.Callback] = [
        Limits(settings.target, settings.aim, run.path),
        Recorder(run, settings.aim),
        Progress(
            settings.total, settings.epochs, settings.concurrent, settings.time_budget_seconds, per_trial, settings.aim
        ),
        Remains(),
        *kept,
    ]
    if settings.wandb != "disabled":
        callbacks.append(
            WandbCallback(run.path, settings.name, settings.dataset.name, settings.wandb, aim=settings.aim)
        )
    callbacks += [Clock(run), *([room] if room else [])]
    searcher = StudySearcher(
        {name: from_resolved(space) for name, space in settings.spaces.items()},
        settings.first,
        settings.trials,
        settings.epochs,
        settings.seed,
        run,
        settings.sampler,
        settings.scheduler,
        second_of(settings.objectives),
        room,
        aim=settings.aim,
        planned=settings.planned,
        random_share=settings.random_share,
        informed_by=settings.informed_by,
        retried=settings.retried,
        resuming=resuming,
    )
    return tune.Tuner(
        _trainable(setup),
        tune_config=tune.TuneConfig(
            metric=settings.aim.best,
            mode="max" if settings.aim.maximise else "min",
            search_alg=OpenEnded(searcher, settings.concurrent or settings.total),  # no bound: the room sets it
            scheduler=scheduler,
            num_samples=-1,  # the searcher says when it has no more
            # A reused process starts the next trial in under half a second.  A worker group blocks the thread
            # that Tune would have to unwind, so there it must be off.
            reuse_actors=settings.workers_per_trial == 1,
            trial_dirname_creator=_trial_name,
            trial_name_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=TUNE,
            **tune_storage(run),
            callbacks=callbacks,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=checkpoint.KEPT),
            failure_config=tune.FailureConfig(max_failures=3),
            verbose=0,
        ),
    )


def restored_tuner(run: RunFolder, settings: SearchSettings, setup: TrialSetup) -> tune.Tuner:
    """Return the Tuner of a search that goes on; a new one where it died before Tune's first snapshot.

    Tune takes its searcher, scheduler and callbacks not from who restores it, but from what the Tuner wrote down when
    it was made (``tuner.pkl``).  So one is made of the settings as they are now, which leaves the rest of the folder
    alone; what the old ones knew comes back by Tune's snapshot.
    """
    place, filesystem = _state(run)
    if has_state(run):
        new_tuner(run, settings, setup, resuming=True)
        return tune.Tuner.restore(place, _trainable(setup), resume_unfinished=True, storage_filesystem=filesystem)
    run.study_file.unlink(missing_ok=True)  # it died before Tune's first snapshot: nothing to keep
    return new_tuner(run, settings, setup)


def has_state(run: RunFolder) -> bool:
    """Return whether Tune has written down what it would go on from; it does before the first trial begins."""
    return tune.Tuner.can_restore(*_state(run))


def _state(run: RunFolder) -> tuple[str, Any]:
    storage = tune_storage(run)
    return f"{storage['storage_path']}/{TUNE}", storage.get("storage_filesystem")


def _trainable(setup: TrialSetup) -> Any:
    trainable = tune.with_parameters(run_trial, setup=setup)
    if setup.workers > 1:
        # Ray Train makes a placement group of its own for the workers, so the trial itself must not take a part of a
        # CPU from them.
        return tune.with_resources(trainable, {HEAD_NODE: 0.001})
    return tune.with_resources(trainable, _resources(setup))


def _resources(setup: TrialSetup) -> tune.PlacementGroupFactory:
    resources = {"CPU": setup.cpus, "GPU": setup.gpus} if setup.gpus else {"CPU": setup.cpus}
    selected: dict[str, Any] = {"bundle_label_selector": [setup.labels]} if setup.labels else {}
    return tune.PlacementGroupFactory([resources], **selected)


def _trial_name(trial: Trial) -> str:
    return str(trial.trial_id)
