"""The published configurations of all shipped spaces, by name, and the settings that train one as published."""

from __future__ import annotations

import functools
from typing import Any

from fer_tune.config import TrialConfig, trial_config
from fer_tune.errors import UserError, nearest
from fer_tune.run_folder import Published
from fer_tune.search.spaces.loading import load_space, shipped_spaces
from fer_tune.search.spaces.space import SearchSpace


@functools.cache
def shipped_published() -> tuple[tuple[SearchSpace, Published], ...]:
    """Return each published configuration with the space that it stands in, in the order of their names.

    The model libraries are not imported.
    """
    spaces = [load_space(name, against_model=False) for name in shipped_spaces()]
    found = [(space, entry) for space in spaces for entry in space.published]
    return tuple(sorted(found, key=lambda pair: pair[1].name))


def find_published(name: str) -> tuple[SearchSpace, Published]:
    """Return the published configuration ``name`` with its space.

    Raises:
        UserError: there is none, with the nearest names.
    """
    known = {entry.name: (space, entry) for space, entry in shipped_published()}
    if name not in known:
        ends = [each for each in known if each.split("/")[-1] == name]
        hint = f"did you mean {ends[0]!r}?" if ends else nearest(name, known) or "`fer-tune published list` shows them"
        raise UserError(f"{name}: no such published configuration; {hint}")
    return known[name]


def system(entry: Published) -> str:
    """Return the published system that an entry belongs to: what stands before the slash in its name."""
    return entry.name.partition("/")[0]


def as_published(space: SearchSpace, entry: Published, **changes: Any) -> TrialConfig:
    """Return the settings that train ``entry`` as published, at its own epochs and early stopping.

    Args:
        space: that it stands in; its fixed values fill what the entry does not say.
        entry: the published configuration.
        changes: settings in place of the published ones; None leaves one as it is.

    Raises:
        UserError: a change breaks a bound.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    settings = {**space.fixed, **entry.config, "backbone": space.backbone, **given}
    if "epochs" not in settings:
        raise UserError(f"{entry.name}: says no epochs; give them as --epochs")
    return trial_config(settings, entry.name)


def reported_figures(entry: Published) -> str:
    """Return all that a paper reports, in its own digits: ``val accuracy 67.23, seconds 1218.66``."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.10g}" for name, value in entry.reported.items()) or "none"


def reported_accuracy(entry: Published) -> str:
    """Return the accuracy that a paper reports, in per cent and with its split; empty where it reports none."""
    for split in ("test", "val"):
        value = entry.reported.get(f"{split}_accuracy")
        if value is not None:
            upper = entry.reported.get(f"{split}_accuracy_upper")
            return f"{value:.10g}{f' to {upper:.10g}' if upper is not None else ''} % {split}"
    return ""
