"""Doors of a search: begin one, go on with one, and what a search is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Le
from typing_extensions import Doc

from fer_tune.door import GaveUpError, Interrupted, checked, door
from fer_tune.kinds import Sampler
from fer_tune.objectives import Objective
from fer_tune.search.watching.output import Output, showing
from fer_tune.tracking.mode import Choice

if TYPE_CHECKING:
    from analysis.folds.run import FoldsRun
    from analysis.result import Run
    from fer_tune.search.options import SearchOptions
    from fer_tune.search.running.engine import Ended


def search(
    data: Annotated[str | Path, Doc("A prepared dataset (`fer-tune data prepare`): a folder or a URI such as s3://.")],
    backbone: Annotated[str | Sequence[str], Doc("timm name; repeat it for one study each.")],
    *,
    trials: Annotated[int, Doc("Trials per backbone."), Ge(1)] = 20,
    epochs: Annotated[int, Doc("Most epochs of one trial."), Ge(1)] = 12,
    time_budget: Annotated[float | str | None, Doc("Stop after this time, e.g. 30m or 2h.")] = None,
    name: Annotated[str | None, Doc("Name of the run folder.")] = None,
    storage: Annotated[str | Path, Doc("A folder that every node sees, or an s3:// URI.")] = "runs",
    seed: Annotated[int, Doc("Of the sampler, and of every trial's training."), Ge(0), Le(2**31 - 1)] = 0,
    cpus_per_trial: Annotated[float | None, Doc("CPUs, and threads, of one worker."), Ge(0.1)] = None,
    gpus_per_trial: Annotated[
        float | None,
        Doc(
            "GPUs of one worker, such as 0.25. (default: one; on this machine a part of one, "
            "where a short trial of it shows that several trials pay)"
        ),
        Ge(0),
    ] = None,
    workers_per_trial: Annotated[int, Doc("Data-parallel workers of one trial."), Ge(1)] = 1,
    node_label: Annotated[
        Mapping[str, str] | Sequence[str] | None,
        Doc(
            "Train on the cluster's nodes with this label only, such as ray.io/accelerator-type=A100 or "
            "kind=in(fast,big); repeat it for several that must all hold."
        ),
    ] = None,
    concurrent: Annotated[int | None, Doc("Most trials side by side; else all that fit."), Ge(1)] = None,
    checkpoint_every: Annotated[
        float | str | None,
        Doc("Time that a trial may lose when it ends unasked; if left out, writing takes a tenth of the time at most."),
    ] = None,
    space: Annotated[
        str | Path | Sequence[str | Path] | None, Doc("A search-space file instead of the shipped one.")
    ] = None,
    fix: Annotated[
        Mapping[str, Any] | Sequence[str] | str | None,
        Doc("Give a setting one value in every space, such as optimizer=adamw; repeat it for several."),
    ] = None,
    range: Annotated[
        Mapping[str, Any] | Sequence[str] | str | None,
        Doc(
            "Search a number from LOW to HIGH, such as learning_rate=1e-4:1e-2; logarithmic as its setting is, unless "
            "it ends in :linear or :log."
        ),
    ] = None,
    choice: Annotated[
        Mapping[str, Any] | Sequence[str] | str | None, Doc("Search these values, such as batch_size=128,256.")
    ] = None,
    weights: Annotated[
        str | Path | Sequence[str | Path] | None,
        Doc(
            "Start trials from this file, or the best weights of this run: a path or a URI; for one backbone of "
            "several NAME=FILE. Published configurations start as published."
        ),
    ] = None,
    objective: Annotated[
        Objective | Sequence[Objective],
        Doc("What trials are judged by, one of the val_ ones; and again for a cost to keep low beside it."),
    ] = "val_accuracy",
    sampler: Annotated[
        Sampler | None,
        Doc("What draws the settings of the next trial; gp unless said, tpe where there is a second objective."),
    ] = None,
    scheduler: Annotated[
        str, Doc("What stops poor trials: asha, median, or none: every trial runs to its end.")
    ] = "asha",
    grace_period: Annotated[int, Doc("Epochs before a trial may be stopped."), Ge(1)] = 2,
    reduction_factor: Annotated[int, Doc("ASHA lets one in so many go on at each rung."), Ge(2)] = 3,
    brackets: Annotated[int, Doc("Of ASHA; each starts to stop trials later than the last."), Ge(1)] = 1,
    random_share: Annotated[
        float,
        Doc("Of the drawn trials, that are drawn at random and never stopped: what tells which settings matter."),
        Ge(0),
        Le(1),
    ] = 0.0,
    target: Annotated[
        float | None, Doc("End the search once a trial is as good, by what it is judged by: 0.65 is 65 %."), Ge(0)
    ] = None,
    warm_start: Annotated[
        str | Path | Sequence[str | Path] | None,
        Doc("An earlier run or a folder of runs: its best are tried first, other backbones inform gp, tpe. Repeat it."),
    ] = None,
    warm_start_top: Annotated[int, Doc("How many of each run, per backbone."), Ge(1)] = 3,
    published: Annotated[bool, Doc("Try the published configurations first.")] = True,
    known_good: Annotated[
        bool, Doc("Try settings that were good elsewhere, where the space names some and the sampler learns.")
    ] = True,
    wandb: Annotated[Choice, Doc("How Weights & Biases records it; auto: online where there is a key.")] = "auto",
    output: Annotated[Output, Doc("text shows a table, quiet nothing, json a line per event.")] = "text",
) -> Run | FoldsRun:
    """Search learning rate, batch size, augmentation, freeze depth and more, per backbone.

    Published configurations are tried first; then a sampler draws, which learns from each epoch of each trial, and ASHA
    stops the poor ones early.

    Returns:
        The run; ``run.reason`` says why it ended early, if a time budget or a target ended it. Of a dataset in folds, a
        run over its folds, which are searched one after the other.

    Raises:
        UserError: before any compute, whatever is wrong with an option.
        Interrupted: Ctrl-C, after everything is saved; `resume` goes on.
        GaveUpError: trial after trial failed for one reason.

    >>> run = search(data="data/fer2013", backbone="resnet18", trials=100, epochs=40)  # doctest: +SKIP
    >>> run.refit(top=3, seeds=5); run.test(); run.report()                            # doctest: +SKIP
    """
    given = dict(locals())
    from fer_tune.data.prepared.folds import read_folds
    from fer_tune.search.running.engine import search as run_search

    if folds := read_folds(data):
        from analysis.folds.searching import search_folds

        with showing(output):
            return search_folds(folds, checked(search, given), search_options)
    options = search_options(**given)
    with showing(output):
        return _run_of(run_search(options))


def search_options(**given: Any) -> SearchOptions:
    """Return what a search is asked for, from the keywords of `search`.

    Raises:
        UserError: one is out of its bounds, or cannot be read.
    """
    from fer_tune.search.planning.asked import options_of

    return options_of(checked(search, given))


@door
def resume(
    run: Annotated[str | Path | Run | FoldsRun, Doc("The run folder, or its URI.")],
    *,
    trials: Annotated[int | None, Doc("Trials per backbone in all, those that have ended among them."), Ge(1)] = None,
    epochs: Annotated[int | None, Doc("Most epochs of further trials."), Ge(1)] = None,
    time_budget: Annotated[
        float | str | None, Doc("Go on for this time, e.g. 2h; else for what is left of the search's.")
    ] = None,
    cpus_per_trial: Annotated[float | None, Doc("CPUs, and threads, of one worker from now on."), Ge(0.1)] = None,
    gpus_per_trial: Annotated[float | None, Doc("GPUs of one worker from now on."), Ge(0)] = None,
    concurrent: Annotated[int | None, Doc("Most trials side by side from now on."), Ge(1)] = None,
    checkpoint_every: Annotated[
        float | str | None, Doc("Time that a trial may lose from now on when it ends unasked, e.g. 5m.")
    ] = None,
    data: Annotated[str | Path | None, Doc("The same prepared dataset, where it is now.")] = None,
    retry_failed: Annotated[bool, Doc("Try the settings of trials that failed or were too large again.")] = False,
    output: Annotated[Output, Doc("text shows a table, quiet nothing, json a line per event.")] = "text",
) -> Run | FoldsRun:
    """Go on with a search after a crash, a reboot, a lost cluster or Ctrl-C, or beyond its end.

    Finished trials are kept and running ones go on from their last checkpoint; what changes is recorded in search.yaml.

    Returns, Raises: as `search`.
    """
    from analysis.folds.run import folds_at
    from analysis.folds.searching import resume_folds
    from fer_tune.search.options import ResumeOptions
    from fer_tune.search.planning.asked import checkpoint_seconds, seconds
    from fer_tune.search.running.engine import resume as run_resume

    asked = ResumeOptions(
        trials,
        epochs,
        seconds(time_budget),
        cpus_per_trial,
        gpus_per_trial,
        concurrent,
        checkpoint_seconds(checkpoint_every),
        data,
        retry_failed,
    )
    place = run if isinstance(run, str | Path) else run.place
    with showing(output):
        if folds := folds_at(place):
            return resume_folds(folds, asked, search_options)
        return _run_of(run_resume(place, asked))


def _run_of(ended: Ended) -> Run:
    from analysis.result import Run

    run = Run(ended.run, ended.run.settings(), ended.reason)
    if ended.interrupted:
        raise Interrupted(f"interrupted; nothing finished is lost. Go on with: fer-tune resume {run.quoted}", run)
    if ended.gave_up:
        again = " --retry-failed" if ended.retry else ""
        raise GaveUpError(f"{ended.reason}. Go on with: fer-tune resume {run.quoted}{again}", run)
    return run
