"""What a search space file names to be tried first, published or known to be good, and every fault that it can have."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fer_tune.config import FIELDS
from fer_tune.errors import nearest
from fer_tune.run_folder import Published
from fer_tune.search.spaces.document import Path
from fer_tune.search.spaces.faults import Faults, likely_field
from fer_tune.search.spaces.parameter import Parameter, number
from fer_tune.search.spaces.space import KnownGood

TOPICS = ("network", "training", "split")
"""What an entry may explain under ``chosen`` besides settings: where the paper's network, its training or its split is
not wholly told, or differs from what runs here."""

_KEYS = ("name", "source", "config")  # of a known good entry


def read_published(faults: Faults, given: Any, backbone: str, parameters: dict[str, Parameter]) -> list[Published]:
    """Return the entries of ``published:``; their values need not lie inside the searched ranges.

    Args:
        faults: where faults are told.
        given: what the file has below ``published:``; None for nothing.
        backbone: of the file.
        parameters: searched field -> how it is drawn; a configuration must give each that applies to it.
    """
    if given is None:
        return []
    if not isinstance(given, list):
        faults.add(("published",), "should be a list, each entry opening with `- name:`")
        return []
    entries: list[Published] = []
    for index, value in enumerate(given):
        entry = _published(faults, ("published", index), value, backbone, parameters)
        if entry is None:
            continue
        if entry.name in [other.name for other in entries]:
            faults.add(("published", index, "name"), f"{entry.name} is the name of an earlier entry; names must differ")
        entries.append(entry)
    return entries


def _published(
    faults: Faults, path: Path, given: Any, backbone: str, parameters: dict[str, Parameter]
) -> Published | None:
    described = faults.mapping(path, given, (*Published.model_fields, "extends"))
    if described is None:
        return None
    config = {}
    if "config" in described:
        config = _published_config(faults, (*path, "config"), described["config"], backbone, parameters)
        described = {**described, "config": config}
    for field in described["chosen"] if isinstance(described.get("chosen"), dict) else ():
        if field not in config and field not in TOPICS:
            hint = nearest(field, [*config, *TOPICS]) or f"explain a setting of config, or one of {', '.join(TOPICS)}"
            faults.add((*path, "chosen", field), f"is not in config; {hint}")
    try:
        return Published.model_validate(described)
    except ValidationError as error:
        for fault in error.errors():
            message = f"{fault['msg'][0].lower()}{fault['msg'][1:]}, but it is {fault['input']!r}"
            faults.add((*path, *fault["loc"]), "missing" if fault["type"] == "missing" else message)
        return None


def _published_config(
    faults: Faults, path: Path, given: Any, backbone: str, parameters: dict[str, Parameter]
) -> dict[str, Any]:
    config: dict[str, Any] = {}
    faulty: set[str] = set()
    values = faults.mapping(path, given)
    if values is None:
        return {}
    for name, value in values.items():
        at: Path = (*path, name)
        if name == "backbone":
            if value != backbone:
                faults.add(at, f"is {value!r}, but this file is for {backbone}; the entry belongs in that one's file")
        elif faults.known(at, name, list(FIELDS)):
            config[name], good = faults.value(at, name, value)
            faulty |= set() if good else {name}
        else:
            faulty |= {field for field in parameters if repr(field) in likely_field(name, FIELDS)}  # told as misspelt
    silent = [
        name
        for name, parameter in parameters.items()
        if name not in config and name not in faulty and parameter.applies(config)
    ]
    if silent:
        faults.add(
            path,
            f"does not give {', '.join(silent)}, searched here; where the paper leaves a value open, choose one and "
            "say why under `chosen`",
        )
    return config


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
            config = _known_good_config(faults, (*path, "config"), described.get("config", {}), parameters)
            entries.append(KnownGood(name=name, source=str(described.get("source") or ""), config=config))
    return entries


def _known_good_config(faults: Faults, path: Path, given: Any, parameters: dict[str, Parameter]) -> dict[str, Any]:
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
