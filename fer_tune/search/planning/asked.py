"""What a search or a resume is asked for, from the keywords of the door, which has checked their types and bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from fer_tune.errors import UserError
from fer_tune.kinds import Scheduler
from fer_tune.search.cluster.node_labels import parse_labels
from fer_tune.search.options import SearchOptions
from fer_tune.search.proposing.samplers import usual_sampler
from fer_tune.search.spaces.given import read_changes
from fer_tune.search.stopping_early.not_offered import NOT_OFFERED

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def options_of(given: dict[str, Any]) -> SearchOptions:
    """Return what a search is asked for.

    Raises:
        UserError: what is given cannot be read, or is not offered.
    """
    given = dict(given)
    scheduler = given.get("scheduler", "asha")
    if scheduler in NOT_OFFERED:
        raise UserError(f"--scheduler {scheduler}: there is none: {NOT_OFFERED[scheduler]}")
    if scheduler not in (known := get_args(Scheduler)):
        raise UserError(f"--scheduler {scheduler}: one of {', '.join(known)}")
    labels = given.pop("node_label", None) or {}
    objectives = tuple(several(given.pop("objective", "val_accuracy")))
    changed: dict[str, Any] = {
        "storage": Path(given.get("storage", "runs")),
        "backbones": list(dict.fromkeys(several(given.pop("backbone")))),
        "time_budget_seconds": seconds(given.pop("time_budget", None)),
        "checkpoint_every": checkpoint_seconds(given.pop("checkpoint_every", None)),
        "node_labels": dict(labels) if isinstance(labels, Mapping) else parse_labels(labels),
        "spaces": [str(file) for file in several(given.pop("space", None))],
        "changes": read_changes(given.pop("fix", None), given.pop("range", None), given.pop("choice", None)),
        "warm_start": [str(run) for run in several(given.pop("warm_start", None))],
        "weights": [str(file) for file in several(given.pop("weights", None))],
        "objectives": objectives,
        "sampler": given.get("sampler") or usual_sampler(objectives),
    }
    given.pop("output", None)  # how it is shown is no part of what is searched
    return SearchOptions(**given | changed)


def several(given: Any) -> list[Any]:
    """Return what may be given once or several times as a list."""
    return [] if given is None else [given] if isinstance(given, str | Path) else list(given)


def seconds(given: float | str | None) -> float | None:
    """Return a time budget in seconds: a number of them, or a text such as 90s, 30m, 2h or 1d.

    Raises:
        UserError: it is no time, or none at all.
    """
    found = None if given is None else _seconds(given)
    if found == 0:
        raise UserError(f"--time-budget {given}: no time to search in; give more, such as 30m, or leave it out")
    if given is not None and found is None:
        raise UserError(f"--time-budget {given}: a number and a unit, such as 90s, 30m or 2h")
    return found


def checkpoint_seconds(given: float | str | None) -> float | None:
    """Return the time between two checkpoints in seconds, read as `seconds` does; it may be none at all.

    Raises:
        UserError: it is no time.
    """
    found = None if given is None else _seconds(given)
    if given is not None and found is None:
        raise UserError(f"--checkpoint-every {given}: a number and a unit, such as 30s or 5m; 0s is as often as can be")
    return found


def _seconds(given: float | str) -> float | None:
    if isinstance(given, int | float):
        return float(given) if given >= 0 else None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", given.strip())
    return float(match[1]) * _UNITS[match[2]] if match else None
