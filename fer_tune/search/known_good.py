"""Settings that earlier searches found good: what a search that learns tries before it draws anything.

A search that begins at random spends its first dozen trials far from anything useful.  Where a network of the same kind
was searched before, on whatever faces, its best settings are a better beginning (Feurer et al. 2015, "Initializing
Bayesian hyperparameter optimization via meta-learning").  A space names them::

    known_good:
      - name: fer_tune/fer2013-1
        source: cnn_residual on FER2013, the best of 16 trials of 9 epochs
        config: {learning_rate: 8.6e-3, batch_size: 64, augmentation: 0.23}

Only what the space searches is taken from an entry; what it fixes stays fixed.  An entry that another file brings by
``extends`` is left out where one of its values lies outside the range searched here, one is missing, or a choice such
as the optimiser is fixed to another: a learning rate that is good for one is not for the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fer_tune.config import TrialConfig
from fer_tune.run_folder import Candidate
from fer_tune.search.parameter import Parameter, number
from fer_tune.search.space_faults import Faults
from fer_tune.search.yaml_lines import Path

if TYPE_CHECKING:
    from fer_tune.search.space import SearchSpace

_KEYS = ("name", "source", "config")


class KnownGood(Candidate):
    """A configuration that an earlier search found good.

    Attributes:
        source: of which network, on what, in which search.
    """

    source: str = ""


def read_known_good(faults: Faults, given: Any, parameters: dict[str, Parameter]) -> list[KnownGood]:
    """Return the entries of ``known_good:``; a file's own must lie inside its ranges.

    Args:
        faults: where faults are told.
        given: what the file has below ``known_good:``; None for nothing.
        parameters: searched field -> how it is drawn.
    """
    if given is None:
        return []
    if not isinstance(given, list):
        faults.add(("known_good",), "should be a list, each entry opening with `- name:`")
        return []
    entries: list[KnownGood] = []
    for index, value in enumerate(given):
        path: Path = ("known_good", index)
        described = faults.mapping(path, value, _KEYS)
        if described is None:
            continue
        name = described.get("name")
        if not isinstance(name, str) or not name.strip():
            faults.add((*path, "name"), "should say where the settings are from, such as fer_tune/fer2013-1")
        elif name in [entry.name for entry in entries]:
            faults.add((*path, "name"), f"{name} is the name of an earlier entry; names must differ")
        else:
            if "config" not in described:
                faults.add((*path, "config"), "missing")
            config = _config(faults, (*path, "config"), described.get("config", {}), parameters)
            entries.append(KnownGood(name=name, source=str(described.get("source") or ""), config=config))
    return entries


def fitting(space: SearchSpace) -> list[Candidate]:
    """Return the known good configurations that ``space`` could have drawn, with what it fixes."""
    found = []
    for entry in space.known_good:
        config = {name: value for name, value in entry.config.items() if name in space.parameters}
        config = {name: value for name, value in config.items() if space.parameters[name].applies(config)}
        others = entry.config.keys() - space.parameters.keys()
        fixed = {name: space.fixed.get(name, TrialConfig.model_fields[name].default) for name in others}
        if any(isinstance(entry.config[name], str) and entry.config[name] != fixed[name] for name in others):
            continue
        if space.holds(space.settings(config)):
            found.append(Candidate(name=entry.name, config=config))
    return found


def _config(faults: Faults, path: Path, given: Any, parameters: dict[str, Parameter]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    own = faults.document.file(path) == faults.document.where
    for name, value in (faults.mapping(path, given) or {}).items():
        at: Path = (*path, name)
        if not faults.searchable(at, name):
            continue
        config[name], good = faults.value(at, name, value)
        if good and own and name in parameters and not parameters[name].contains(config[name]):
            faults.add(
                at, f"{number(config[name])} lies outside what is searched here; widen the range, or leave it out"
            )
    return config
