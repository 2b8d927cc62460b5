"""A search as a sweep on W&B, whose runs are the trials: the page of a sweep serves the review of a search.

What is drawn comes from our sampler: W&B is told that the sweep's controller is local, so that its own draws nothing
(https://docs.wandb.ai/models/sweeps/local-controller).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from fer_tune.amounts import amount
from fer_tune.errors import UserError
from fer_tune.filing.files import read_json, write_json
from fer_tune.filing.tables import read_table
from fer_tune.kinds import Sampler
from fer_tune.run_folder import RunFolder, SearchSettings
from fer_tune.tracking.service import PROJECT
from fer_tune.tracking.wandb_internals import set_sweep_state, upsert_sweep

State = Literal["RUNNING", "PAUSED", "FINISHED"]

_METHODS: dict[Sampler, str] = {"tpe": "bayes", "gp": "bayes", "cmaes": "bayes", "random": "random", "grid": "grid"}

_Answer = TypeVar("_Answer")


class Sweep(BaseModel):
    """What ``sweep.json`` of a run folder holds: the sweep that the search is, once a server has made it."""

    model_config = ConfigDict(extra="forbid")
    format_version: Literal[1] = 1
    id: str  # given by the server
    entity: str
    project: str
    server: str  # address of its API
    address: str  # of the sweep's page


def known(folder: Path) -> Sweep | None:
    """Return the sweep of the search in the run folder ``folder``; None where no server has made it yet."""
    file = RunFolder(folder).sweep_file
    return read_json(Sweep, file, "remove it; the sweep is made anew") if file.is_file() else None


def page_of(run: RunFolder) -> str:
    """Return one line with the address of the sweep's page; empty where there is no sweep."""
    found = known(run.path)
    return f"W&B: the search is the sweep {found.address}" if found is not None else ""


def taken(
    folder: Path, settings: SearchSettings, *, entity: str = "", project: str = "", prior_runs: Iterable[str] = ()
) -> Sweep:
    """Return the sweep of a search, made on the server that W&B talks to unless it has it already; it runs then.

    Args:
        folder: the run folder, which keeps what the server said.
        settings: of the search.
        entity: user or team; WANDB_ENTITY, else the account's default, by default.
        project: WANDB_PROJECT, else the one that fer-tune records to, by default.
        prior_runs: ids of runs that the server has already, to be part of a new sweep.

    Raises:
        Exception: whatever W&B raises.
    """
    import wandb

    api = wandb.Api()
    server = str(api.settings["base_url"])
    entity = entity or os.environ.get("WANDB_ENTITY") or api.default_entity or ""
    project = project or os.environ.get("WANDB_PROJECT") or PROJECT
    found = known(folder)
    if found is not None and (found.server, found.entity, found.project) == (server, entity, project):
        with suppress(Exception):  # of a sweep that has ended; runs are added to it all the same
            mark(found, "RUNNING")
        return found
    name, entity, project = upsert_sweep(
        api, config(settings), entity=entity, project=project, prior_runs=list(prior_runs)
    )
    page = "/".join([wandb.Settings(base_url=server).app_url, *map(quote, (entity, project)), "sweeps", quote(name)])
    sweep = Sweep(id=name, entity=entity, project=project, server=server, address=page)
    write_json(sweep, RunFolder(folder).sweep_file)
    with suppress(Exception):
        mark(sweep, "RUNNING")  # a new one waits for agents, and could not be paused
    return sweep


def mark(sweep: Sweep, state: State) -> None:
    """Have the server show the sweep in this state.

    Raises:
        Exception: whatever W&B raises; also where the sweep has ended already.
    """
    import wandb

    set_sweep_state(wandb.Api(), sweep.id, state, entity=sweep.entity, project=sweep.project)


def state_of(run: RunFolder) -> State:
    """Return how the sweep of a search that does not run is shown: as finished once every planned trial has ended."""
    statuses = read_table(run.trials_file, columns=["status"])["status"].to_pylist()
    ended = sum(status != "running" for status in statuses)
    return "FINISHED" if ended == len(statuses) and ended >= run.settings().total else "PAUSED"


def config(settings: SearchSettings) -> dict[str, Any]:
    """Return the search as W&B describes a sweep: its metric, its method, and every searched or fixed setting.

    Of several backbones a setting has the widest range, or all values.  Conditions on other settings are left out:
    W&B has none.
    """
    entries: dict[str, list[dict[str, Any]]] = {"backbone": [_fixed(name) for name in settings.backbones]}
    for space in settings.spaces.values():
        for name, entry in space.get("search", {}).items():
            entries.setdefault(name, []).append(_parameter(entry))
        for name, value in space.get("fixed", {}).items():
            entries.setdefault(name, []).append(_fixed(value))
    parameters = {name: _merged(own) for name, own in entries.items()}
    method = _METHODS[settings.sampler]
    if method == "grid" and any("min" in entry for entry in parameters.values()):
        method = "random"  # W&B has no grid over a range
    return {
        "name": settings.name,
        "description": (
            f"fer-tune search on {settings.dataset.name}: drawn by its sampler {settings.sampler}, stopped early by "
            f"{settings.scheduler}, {amount(settings.total, 'trial')} of at most {amount(settings.epochs, 'epoch')}"
        ),
        "method": method,
        "metric": {"name": settings.aim.best, "goal": "maximize" if settings.aim.maximise else "minimize"},
        "parameters": parameters,
        "controller": {"type": "local"},
    }


_DISTRIBUTIONS = {"log_uniform": "log_uniform_values", "uniform": "uniform", "integer": "int_uniform"}


def _parameter(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry under ``search`` of a space as W&B writes it."""
    for kind, distribution in _DISTRIBUTIONS.items():
        if kind in entry:
            low, high = entry[kind]
            return {"distribution": distribution, "min": low, "max": high}
    return {"values": list(entry["choice"])}


def _fixed(value: Any) -> dict[str, Any]:
    return {"values": [value]}


def _merged(entries: list[dict[str, Any]]) -> dict[str, Any]:
    values = [value for entry in entries for value in entry.get("values", ())]
    kinds = {entry["distribution"] for entry in entries if "min" in entry}
    if not kinds:
        unlike = [value for place, value in enumerate(values) if value not in values[:place]]
        return {"values": unlike} if len(unlike) > 1 else {"value": unlike[0]}
    ends = [entry[end] for entry in entries if "min" in entry for end in ("min", "max")]
    ends += [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    logarithmic = "log_uniform_values" in kinds and min(ends) > 0
    merged = kinds.pop() if len(kinds) == 1 else "log_uniform_values"
    if merged == "log_uniform_values" and not logarithmic:
        merged = "uniform"
    return {"distribution": merged, "min": min(ends), "max": max(ends)}


class SweepOfSearch:
    """The sweep that a search is while it runs: made at its beginning, marked at its end.

    Attributes:
        id: of the sweep; None where the server has not made it.
        failure: why it has not, until that is told.
    """

    def __init__(self, folder: Path) -> None:
        self._run = RunFolder(folder)
        self._sweep: Sweep | None = None
        self.failure: Exception | None = None

    @property
    def id(self) -> str | None:
        return self._sweep.id if self._sweep is not None else None

    def begin(self, seconds: float, *, online: bool) -> None:
        """Make the sweep, or go on with that of the run folder; offline only the latter.

        Raises:
            NoAnswerError: the server did not answer in so many seconds.
        """
        self._sweep = known(self._run.path)
        if not online or not self._run.settings_file.is_file():
            return
        try:
            self._sweep = within(seconds, lambda: taken(self._run.path, self._run.settings()))
        except NoAnswerError:
            raise
        except Exception as error:  # W&B raises many kinds
            self.failure = error

    def end(self, seconds: float) -> None:
        """Have the server show how the search ended; what it says to that is worth no warning."""
        if found := self._sweep:
            with suppress(Exception):
                within(seconds, lambda: mark(found, state_of(self._run)))


def within(seconds: float, call: Callable[[], _Answer]) -> _Answer:
    """Return what ``call`` returns; W&B asks a server that does not answer for minutes.

    Raises:
        UserError: it takes longer; it is left to itself then.
        Exception: what ``call`` raises.
    """
    answers: list[_Answer] = []
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            answers.append(call())
        except (Exception, SystemExit) as error:
            errors.append(error)

    thread = threading.Thread(target=ask, name="fer-tune-wandb-asks", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise NoAnswerError(f"the server did not answer in {seconds:g} s")
    return answers[0]


class NoAnswerError(UserError):
    """W&B's server said nothing for too long."""
