"""What a resume may change of a search: how long it goes on, with what, and which trials it tries again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fer_tune.data.prepared.store import PreparedDataset
from fer_tune.errors import UserError
from fer_tune.filing.tables import read_table
from fer_tune.kinds import TOO_LARGE
from fer_tune.run_folder import Resumed, RunFolder, SearchSettings
from fer_tune.search.cluster.hardware import Resources
from fer_tune.search.options import ResumeOptions
from fer_tune.search.proposing.searcher import planned_trials
from fer_tune.search.running.clock import seconds_spent
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.search.stopping_early.schedulers import most_brackets


def drop_damaged(run: RunFolder) -> list[str]:
    """Remove the tables of a run that cannot be read, and return their names; Tune's snapshot has their rows."""
    damaged = []
    for file in (run.trials_file, run.epochs_file):
        if file.is_file():
            try:
                read_table(file)
            except UserError:
                file.unlink()
                damaged.append(file.name)
    return damaged


def extended(run: RunFolder, settings: SearchSettings, asked: ResumeOptions) -> SearchSettings:
    """Return the settings of a search that goes on as ``asked``, with the change and its date on record.

    What a trial gets of the machine is left as it is, see :func:`with_resources`.

    Raises:
        UserError: the dataset is gone or another one, the time budget is spent, or what is asked for changes nothing.
    """
    new: dict[str, Any] = {}
    told: dict[str, Any] = {}
    data = _same_data(run, settings, asked)
    if asked.data is not None and data.location != settings.dataset.path:
        new["dataset"] = settings.dataset.model_copy(update={"path": data.location})
        told["data"] = data.location
    retried = dict(settings.retried)
    if asked.retry_failed:
        found = _failed(run, settings)
        if not found and asked.trials is None and not _to_do(run, settings):
            raise UserError(f"--retry-failed: no trial of {run.name} failed that was not tried again; all have ended")
        for backbone, failed in found.items():
            retried[backbone] = [*retried.get(backbone, []), *failed]
            told.setdefault("retry_failed", []).extend(failed)
        new["retried"] = retried
    trials = settings.trials if asked.trials is None else asked.trials
    if trials < settings.trials:
        raise UserError(f"--trials {trials}: {run.name} has {settings.trials} for each backbone; give as many or more")
    if trials > settings.trials:
        told["trials"] = trials
    planned = _planned(settings, trials, retried)
    if trials > settings.trials and planned == _planned(settings, settings.trials, retried):
        raise UserError(f"--trials {trials}: the grid has no more points than the {settings.total} that are planned")
    new |= {"trials": trials, "planned": planned}
    if asked.epochs is not None and asked.epochs != settings.epochs:
        new["epochs"] = told["epochs"] = asked.epochs
        _check_epochs(run, settings.model_copy(update=new), asked.epochs)
    left = _to_do(run, settings.model_copy(update=new))
    if left and asked.checkpoint_every is not None and asked.checkpoint_every != settings.checkpoint_every:
        new["checkpoint_every"] = told["checkpoint_every"] = asked.checkpoint_every
    spent = seconds_spent(run)
    if left and asked.time_budget_seconds is not None:
        told["time_budget_seconds"] = asked.time_budget_seconds
        new["time_budget_seconds"] = spent + asked.time_budget_seconds
    changed = settings.model_copy(update=new)
    if changed.time_budget_seconds is not None and spent >= changed.time_budget_seconds and left:
        raise UserError(
            f"{run.name}: its time budget of {changed.time_budget_seconds:.0f} s is spent; give it more with "
            "--time-budget, such as --time-budget 1h"
        )
    return _on_record(changed, told, len(settings.resumed))


def with_resources(
    settings: SearchSettings, asked: ResumeOptions, *, joined: bool, before: SearchSettings
) -> SearchSettings:
    """Return the settings with what a trial gets of the connected Ray, and how many run side by side, as ``asked``.

    Where a trial becomes larger or smaller, as many run side by side as fit, unless that is asked for too.

    Args:
        settings: from :func:`extended`.
        asked: what is to change.
        joined: whether Ray is a cluster that was there before.
        before: the settings before this resume.

    Raises:
        UserError: more is asked for than there is, where that will not change.
    """
    names = ("cpus_per_trial", "gpus_per_trial", "concurrent")
    told = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    if not told:
        return settings
    resized = "cpus_per_trial" in told or "gpus_per_trial" in told
    chosen = Resources.choose(
        told.get("cpus_per_trial", settings.cpus_per_trial),
        told.get("gpus_per_trial", settings.gpus_per_trial),
        settings.workers_per_trial,
        told.get("concurrent", None if resized else settings.concurrent),
        joined=joined,
        labels=settings.node_labels,
    )
    new = {"cpus_per_trial": chosen.cpus, "gpus_per_trial": chosen.gpus, "concurrent": chosen.concurrent}
    return _on_record(settings.model_copy(update=new), told, len(before.resumed))


def ended(run: RunFolder) -> int:
    """Return the number of trials on record that have ended in any way.

    Tune calls a trial that an interrupt cut short TERMINATED; our own record knows that it did not end.
    """
    return sum(row["status"] != "running" for row in _rows(run))


def _same_data(run: RunFolder, settings: SearchSettings, asked: ResumeOptions) -> PreparedDataset:
    place = settings.dataset.path if asked.data is None else asked.data
    try:
        data = PreparedDataset.open(place)
    except UserError as error:
        raise UserError(f"{error}\n{run.name} can go on with the same dataset elsewhere: --data") from None
    data.check_content(
        settings.dataset.content_hash,
        "prepare the same dataset again and name it as --data, or start another search on this one",
    )
    data.verify()
    return data


def _planned(settings: SearchSettings, trials: int, retried: dict[str, list[str]]) -> dict[str, int]:
    spaces = {name: from_resolved(space) for name, space in settings.spaces.items()}
    planned = planned_trials(spaces, settings.first, trials, settings.sampler)
    return {name: count + len(retried.get(name, ())) for name, count in planned.items()}


def _failed(run: RunFolder, settings: SearchSettings) -> dict[str, list[str]]:
    """Return backbone -> the trials that failed or were too large and have not been tried again."""
    found: dict[str, list[str]] = {}
    for row in _rows(run):
        if row["status"] in ("failed", TOO_LARGE) and row["trial_id"] not in settings.retried.get(row["backbone"], ()):
            found.setdefault(row["backbone"], []).append(row["trial_id"])
    return found


def _check_epochs(run: RunFolder, settings: SearchSettings, epochs: int) -> None:
    if not _to_do(run, settings):
        raise UserError(f"--epochs {epochs}: is for further trials, and {run.name} has none left; give --trials too")
    most = most_brackets(epochs, settings.grace_period, settings.reduction_factor)
    if settings.scheduler == "asha" and settings.brackets > most:
        raise UserError(f"--epochs {epochs}: too few for the {settings.brackets} brackets of {run.name}")


def _to_do(run: RunFolder, settings: SearchSettings) -> int:
    return settings.total - ended(run)


def _on_record(settings: SearchSettings, told: dict[str, Any], earlier: int) -> SearchSettings:
    """Return the settings with what this resume changed, which comes after so many ``earlier`` ones."""
    if not told:
        return settings
    mine = [entry.changed for entry in settings.resumed[earlier:]]
    changed = {name: value for each in [*mine, told] for name, value in each.items()}
    entry = Resumed(when=datetime.now(UTC).isoformat(timespec="seconds"), changed=changed)
    return settings.model_copy(update={"resumed": [*settings.resumed[:earlier], entry]})


def _rows(run: RunFolder) -> list[dict[str, Any]]:
    if not run.trials_file.is_file():
        return []
    found: list[dict[str, Any]] = read_table(run.trials_file).to_pylist()
    return found
