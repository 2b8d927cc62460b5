"""The search engine: checks everything, makes the run folder, and lets Ray Tune run the trials."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
from ray import tune

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.tables import read_table
from fer_tune.kinds import TOO_LARGE
from fer_tune.run_folder import DatasetRef, RunFolder, SearchSettings
from fer_tune.search.cluster.hardware import Resources, describe, lacking, package_versions
from fer_tune.search.cluster.ray_session import ray_session
from fer_tune.search.cluster.shared_folder import check_shared
from fer_tune.search.options import ResumeOptions, SearchOptions
from fer_tune.search.planning.idle_at_resume import idle_at_resume, more_than_left
from fer_tune.search.planning.plan import Plan, make_plan
from fer_tune.search.planning.sharing import Sharing, chosen_sharing
from fer_tune.search.running.alone import alone
from fer_tune.search.running.clock import note_seconds, seconds_spent
from fer_tune.search.running.ending import ALIKE, ask_to_stop, disk_full, failing_alike, interruptible
from fer_tune.search.running.extending import drop_damaged, ended, extended, with_resources
from fer_tune.search.running.tuner import has_state, new_tuner, restored_tuner, trial_setup
from fer_tune.search.watching.output import output
from fer_tune.storage.moved import moved_to
from fer_tune.storage.runs import check_writes, kept, new_run, open_run
from fer_tune.tracking.mode import Mode, resolve_mode

NOTHING = ResumeOptions()
"""What a resume is asked to change if nothing is said."""
_LONGEST_NAME = 200  # bytes; file systems take 255, and what is written beside a run has some letters more


@dataclass(frozen=True)
class Ended:
    """How a search ended."""

    run: RunFolder
    finished: bool  # every trial has ended
    interrupted: bool
    reason: str = ""  # why it ended before that, if nobody interrupted it, or that no trial ended well
    gave_up: bool = False  # because trials failed alike, or all of them
    retry: bool = False  # what failed is to be tried again


def search(options: SearchOptions) -> Ended:
    """Check the options, make the run folder and search.

    Raises:
        UserError: before any compute, everything that is wrong with a setting.
    """
    plan = make_plan(options)
    wandb = resolve_mode(options.wandb)
    run = _new_run_folder(options, plan.data)
    if output() == "text" and plan.told:
        print(*plan.told, sep="\n", file=sys.stderr)
    sharing = chosen_sharing(plan)
    gpus = sharing.gpus if options.gpus_per_trial is None else options.gpus_per_trial
    if output() == "text" and sharing.told:
        print(f"GPUs of a trial: {sharing.told}", file=sys.stderr)
    with ray_session(dashboard=options.workers_per_trial > 1, gpus=gpus) as joined:
        resources = plan.resources(joined=joined, share=sharing.gpus)
        settings = _settings(run.name, plan, resources, sharing, wandb)
        _look_for_room(run, settings, joined=joined)
        check_shared(run, settings.node_labels)
        run.path.mkdir(parents=True)
        run.write_settings(settings)
        with alone(run), kept(run, when_lost=ask_to_stop):
            return _fit(new_tuner(run, settings, trial_setup(settings)), run, settings)


def _settings(name: str, plan: Plan, resources: Resources, sharing: Sharing, wandb: Mode) -> SearchSettings:
    """Return what ``search.yaml`` keeps of a search."""
    options, data = plan.options, plan.data
    return SearchSettings(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset=DatasetRef(
            path=data.location,
            name=data.card.name,
            content_hash=data.card.content_hash,
            classes=data.card.classes,
        ),
        backbones=list(plan.spaces),
        trials=max(plan.trials.values()),
        planned=plan.trials,
        epochs=options.epochs,
        time_budget_seconds=options.time_budget_seconds,
        target=options.target,
        seed=options.seed,
        objectives=list(options.objectives),
        sampler=options.sampler,
        scheduler=options.scheduler,
        grace_period=options.grace_period,
        reduction_factor=options.reduction_factor,
        brackets=options.brackets,
        random_share=options.random_share,
        cpus_per_trial=resources.cpus,
        gpus_per_trial=resources.gpus,
        gpu_sharing=sharing.told,
        workers_per_trial=resources.workers,
        node_labels=options.node_labels,
        concurrent=resources.concurrent,
        checkpoint_every=options.checkpoint_every,
        wandb=wandb,
        spaces={name: space.resolved() for name, space in plan.spaces.items()},
        published=plan.published,
        warm_start=plan.warm_start,
        informed_by=plan.informed_by,
        versions=package_versions(),
        hardware=describe(),
    )


def resume(address: Path | str, asked: ResumeOptions = NOTHING) -> Ended:
    """Go on with a search that was interrupted or has ended, from Tune's last snapshot and the last checkpoints.

    Args:
        address: of the run.
        asked: what is to be another than it was.

    Raises:
        UserError: no such run, another program searches in it, its folder cannot be written, its dataset is gone or
            changed, what it would go on from was removed, or it cannot go on as asked, see
            :mod:`fer_tune.search.running.extending`.
    """
    run = open_run(address)
    check_writes(run)
    with alone(run):
        return _resumed(run, asked)


def _resumed(run: RunFolder, asked: ResumeOptions) -> Ended:
    before = run.settings()
    if run.trials_file.is_file() and not has_state(run):
        raise UserError(
            f"{run.name}: what a search goes on from is gone from {run.tune}. The trials on record can still be "
            f"refitted, by `fer-tune refit {run.quoted}`; a new search tries the best of them first by --warm-start "
            f"{run.quoted}"
        )
    if damaged := drop_damaged(run):
        print(f"{run.name}: written anew, since damaged: {', '.join(damaged)}", file=sys.stderr)
    settings = extended(run, before, asked)
    _look_for_records(run, settings)
    left, failed = settings.total - ended(run), len(_retried(settings)) - len(_retried(before))
    idle = idle_at_resume(asked, before, left, failed)
    told = [*idle.values(), *more_than_left(asked, left)]
    if told and output() == "text":
        print(*told, sep="\n", file=sys.stderr)
    nothing: dict[str, Any] = {name: getattr(NOTHING, name) for name in idle}
    asked = replace(asked, **nothing)  # what does nothing is not on record either
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    gpus = settings.gpus_per_trial if asked.gpus_per_trial is None else asked.gpus_per_trial
    with ray_session(dashboard=settings.workers_per_trial > 1, gpus=gpus) as joined:
        settings = with_resources(settings, asked, joined=joined, before=before)
        if ended(run) < settings.total:
            _look_for_room(run, settings, joined=joined)
        check_shared(run, settings.node_labels)
        # Tune's state names the folder where the search began
        with kept(run, when_lost=ask_to_stop), moved_to(run):
            if settings != before:
                run.write_settings(settings)
            return _fit(restored_tuner(run, settings, trial_setup(settings)), run, settings)


def _retried(settings: SearchSettings) -> list[str]:
    return [trial for trials in settings.retried.values() for trial in trials]


def _look_for_records(run: RunFolder, settings: SearchSettings) -> None:
    """See that what the further trials of a search depend on was not removed.

    Raises:
        UserError: its studies were: they would begin anew, and draw what was drawn before.
    """
    if not run.uri and ended(run) < settings.total and has_state(run) and not run.study_file.is_file():
        raise UserError(
            f"{run.study_file}: is missing, from which further trials are drawn: without it those are drawn that "
            "have been; take it from a backup. The trials on record can still be refitted, by `fer-tune refit "
            f"{run.quoted}`; a new search tries the best of them first by --warm-start {run.quoted}"
        )
    if settings.time_budget_seconds is not None and run.trials_file.is_file() and not run.clock_file.is_file():
        print(
            f"{run.clock_file}: is missing, so that nothing is known of the time that was spent: the search has its "
            f"whole budget of {settings.time_budget_seconds:.0f} s once more; --time-budget gives another",
            file=sys.stderr,
        )


def _new_run_folder(options: SearchOptions, data: PreparedDataset) -> RunFolder:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    name = options.name or f"{data.card.name}-{'-'.join(options.backbones[:2])}-{stamp}"
    if "/" in name or name in (".", ".."):
        raise UserError(f"--name {name}: a run's name is the name of a folder; take the slashes out")
    if name != name.strip() or not name.isprintable():
        raise UserError(f"--name {name!r}: a run's name is that of a folder; take spaces at its ends and breaks out")
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise UserError(f"--name {name[:20]}...: a run's name is the name of a folder; {_LONGEST_NAME} bytes at most")
    return new_run(options.storage, name)


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


def _none_ended_well(run: RunFolder) -> str:
    """Return why no trial of a search that has ended has a result; empty where one has."""
    rows = read_table(run.trials_file, columns=["status", "error"]).to_pylist()
    if any(row["status"] not in ("failed", TOO_LARGE) for row in rows):
        return ""
    return f"no trial ended well; the first of {len(rows)}: {next((row['error'] for row in rows if row['error']), '')}"


def _no_room(run: RunFolder, error: str) -> Ended:
    why = f"a disk is full, and no further trial could be kept: {error}. What has ended is kept; make room"
    return Ended(run, finished=False, interrupted=False, reason=why, gave_up=True, retry=True)


def _fit(tuner: tune.Tuner, run: RunFolder, settings: SearchSettings) -> Ended:
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    budget, before, began = settings.time_budget_seconds, seconds_spent(run), time.monotonic()
    with interruptible(None if budget is None else max(0.0, budget - before)) as interrupted:
        try:
            tuner.fit()
        except Exception as error:
            if not disk_full(error):
                raise
            return _no_room(run, str(error).strip().splitlines()[-1])
        finally:
            with suppress(OSError):  # a full disk is told as that
                note_seconds(run, before + time.monotonic() - began)  # with its start, as the budget has it
    if ended(run) >= settings.total:
        why = _none_ended_well(run)
        return Ended(run, finished=True, interrupted=False, reason=why, gave_up=bool(why), retry=bool(why))
    if interrupted:
        return Ended(run, finished=False, interrupted=True)
    rows = read_table(run.trials_file, columns=["status", "error", settings.aim.column]).to_pylist()
    errors = [row["error"] for row in rows if row["status"] != "running"]
    if full := next((error for error in reversed(errors) if error is not None and disk_full(error, run.path)), None):
        return _no_room(run, full)
    alike = failing_alike(errors)
    if alike is not None:
        return Ended(run, False, False, f"at least {ALIKE} trials failed for one reason: {alike}", gave_up=True)
    aim, target = settings.aim, settings.target
    best = max((row[aim.column] for row in rows if row[aim.column] is not None), key=aim.key, default=math.nan)
    if target is not None and aim.reaches(best, target):
        return Ended(run, False, False, f"the target of {aim.text(target)} {aim.meaning} is reached")
    return Ended(run, False, False, "the time budget is spent; --time-budget gives more")
