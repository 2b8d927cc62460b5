"""What a search space file may say, and every fault that it can have.

Nothing is raised on the way: the faults of a file are collected and told together, each with its line.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fer_tune.config import FIELDS
from fer_tune.errors import UserError, nearest
from fer_tune.run_folder import Published
from fer_tune.search.parameter import KINDS, Parameter, check_value, is_integer, is_number, number
from fer_tune.search.yaml_lines import Document, Path

KEYS = ("backbone", "about", "search", "fixed", "published")
PUBLISHED_KEYS = tuple(Published.model_fields)
SET_BY_THE_SEARCH = {
    "backbone": "it is the `backbone:` of this file",
    "epochs": "give it to the search, as --epochs",
    "seed": "give it to the search, as --seed",
}


class Checker:
    """Reads one document into the parts of a search space, and collects its faults.

    Args:
        document: the data, with the lines they stand on.
        against_model: also check that the backbone exists and has as many stages as freeze depths ask for; this
            imports the model libraries (seconds).
    """

    def __init__(self, document: Document, *, against_model: bool = True) -> None:
        self.document = document
        self.faults: list[tuple[int, str]] = list(document.faults)
        self.backbone = ""
        self.about = ""
        self.parameters: dict[str, Parameter] = {}
        self.fixed: dict[str, Any] = {}
        self.published: list[Published] = []
        self._searched: set[str] = set()  # names, also of parameters that have faults
        self._depths: list[tuple[Path, int]] = []  # every freeze depth asked for
        if document.data is None and document.faults:
            return
        top = self._mapping((), document.data, KEYS)
        if top is None:
            return
        self._read_head(top)
        self._read_search(top.get("search"))
        self._read_fixed(top.get("fixed"))
        self._check_conditions()
        self._read_published(top.get("published"))
        if against_model and self.backbone:
            self._check_model()

    def messages(self) -> list[str]:
        """Return ``file:line: field: what is wrong``, in the order of the lines."""
        ordered = sorted(self.faults, key=lambda fault: fault[0])
        return [f"{self.document.where}{f':{line}' if line else ''}: {sentence}" for line, sentence in ordered]

    def _fault(self, path: Path, sentence: str) -> None:
        place = ".".join(str(part) for part in path)
        self.faults.append((self.document.line(path), f"{place}: {sentence}" if place else sentence))

    def _mapping(self, path: Path, value: Any, keys: tuple[str, ...] | None = None) -> dict[str, Any] | None:
        """Return ``value`` if it is a mapping, without the keys that do not belong in it."""
        if not isinstance(value, dict):
            what = "is empty" if value is None else f"is {value!r}"
            self._fault(path, f"should hold `key: value` lines, but it {what}")
            return None
        if keys is None:
            return value
        for key in value:
            if key not in keys:
                hint = nearest(str(key), keys) or f"the keys are {', '.join(keys)}"
                self._fault((*path, key), f"no such key; {hint}")
        return {key: value[key] for key in keys if key in value}

    def _read_head(self, top: dict[str, Any]) -> None:
        for key in ("backbone", "search"):
            if key not in top:
                self._fault((), f"{key}: missing")
        if "backbone" in top:
            if isinstance(top["backbone"], str) and top["backbone"].strip():
                self.backbone = top["backbone"]
            else:
                self._fault(("backbone",), f"should name a network, but it is {top['backbone']!r}")
        self.about = " ".join(str(top.get("about") or "").split())

    def _known_field(self, path: Path, name: str) -> bool:
        if name in SET_BY_THE_SEARCH:
            self._fault(path, f"the search sets it; {SET_BY_THE_SEARCH[name]}")
            return False
        if name not in FIELDS:
            allowed = [field for field in FIELDS if field not in SET_BY_THE_SEARCH]
            hint = nearest(name, allowed) or f"the settings are {', '.join(allowed)}"
            self._fault(path, f"no such setting; {hint}")
            return False
        return True

    def _value(self, path: Path, field: str, value: Any) -> tuple[Any, bool]:
        checked, fault = check_value(field, value)
        if fault:
            self._fault(path, fault)
        elif field == "freeze_depth":
            self._depths.append((path, checked))
        return checked, fault is None

    def _read_search(self, search: Any) -> None:
        if search is None and "search" not in (self.document.data or {}):
            return
        entries = self._mapping(("search",), search)
        if entries is None:
            return
        if not entries:
            self._fault(("search",), "is empty: name at least one setting to search")
        for name, entry in entries.items():
            path: Path = ("search", name)
            if not self._known_field(path, name):
                continue
            self._searched.add(name)
            described = self._mapping(path, entry, (*KINDS, "when"))
            if described is None:
                continue
            kinds = [kind for kind in KINDS if kind in described]
            if len(kinds) != 1:
                said = " and ".join(kinds) if kinds else "none"
                self._fault(path, f"should have exactly one of {', '.join(KINDS)}, but it has {said}")
                continue
            kind = kinds[0]
            values = self._values(path, name, kind, described[kind])
            when = self._when(path, name, described["when"]) if "when" in described else {}
            if values is not None and when is not None:
                self.parameters[name] = Parameter(name=name, kind=kind, values=values, when=when)

    def _values(self, path: Path, name: str, kind: str, given: Any) -> tuple[Any, ...] | None:
        at: Path = (*path, kind)
        if not isinstance(given, list) or (kind != "choice" and len(given) != 2):
            shape = "[value, value, ...]" if kind == "choice" else "[low, high]"
            self._fault(at, f"should be {shape}, but it is {given!r}")
            return None
        if kind != "choice" and not is_number(name):
            self._fault(at, f"{name} is not a number; use choice")
            return None
        if kind in ("uniform", "log_uniform") and is_integer(name):
            self._fault(at, f"{name} is a whole number; use integer or choice")
            return None
        if kind == "integer" and not is_integer(name):
            self._fault(at, f"{name} is not a whole number; use uniform or log_uniform")
            return None
        checked = [self._value((*at, index), name, value) for index, value in enumerate(given)]
        if not all(good for _, good in checked):
            return None
        values = tuple(value for value, _ in checked)
        if kind == "choice":
            return values if self._good_choice(at, values) else None
        low, high = values
        if low >= high:
            self._fault(at, f"low {number(low)} is not below high {number(high)}; give [low, high], or put it in fixed")
            return None
        if kind == "log_uniform" and low <= 0:
            self._fault(at, f"low {number(low)} has no logarithm: it must be above 0; or use uniform")
            return None
        return values

    def _good_choice(self, at: Path, values: tuple[Any, ...]) -> bool:
        if len(values) < 2:
            self._fault(at, "a choice needs at least two values; put a single one in fixed")
            return False
        twice = [value for index, value in enumerate(values) if value in values[:index]]
        if twice:
            self._fault(at, f"{number(twice[0])} is given twice")
        return not twice

    def _when(self, path: Path, name: str, given: Any) -> dict[str, tuple[Any, ...]] | None:
        conditions = self._mapping((*path, "when"), given)
        if conditions is None:
            return None
        if not conditions:
            self._fault((*path, "when"), "is empty: name a searched setting and a value of it")
        return {field: tuple(values) if isinstance(values, list) else (values,) for field, values in conditions.items()}

    def _read_fixed(self, fixed: Any) -> None:
        if fixed is None:  # `fixed:` with nothing below it fixes nothing
            return
        for name, value in (self._mapping(("fixed",), fixed) or {}).items():
            path: Path = ("fixed", name)
            if not self._known_field(path, name):
                continue
            if name in self._searched:
                line = self.document.line(("search", name))
                where = f" on line {line}" if line else ""
                self._fault(path, f"is both searched{where} and fixed; keep one of the two")
                continue
            checked, good = self._value(path, name, value)
            if good:
                self.fixed[name] = checked

    def _check_conditions(self) -> None:
        for name, parameter in list(self.parameters.items()):
            checked: dict[str, tuple[Any, ...]] = {}
            for field, values in parameter.when.items():
                path: Path = ("search", name, "when", field)
                if field not in self._searched:
                    known = sorted(self._searched - {name})
                    hint = nearest(field, known) or f"the searched settings are {', '.join(known)}"
                    self._fault(path, f"a condition must name a searched setting; {hint}")
                elif field in self.parameters:
                    good = [self._condition_value(path, self.parameters[field], value) for value in values]
                    checked[field] = tuple(good)
            self.parameters[name] = parameter.model_copy(update={"when": checked})
        for name in self.parameters:
            if name in self._ancestors(name):
                self._fault(("search", name, "when"), "its condition depends on itself")

    def _condition_value(self, path: Path, parameter: Parameter, value: Any) -> Any:
        checked, fault = check_value(parameter.name, value)
        described = ", ".join(number(v) for v in parameter.values)
        if parameter.kind in ("uniform", "log_uniform"):
            self._fault(path, f"is drawn from a continuous range, so it never equals {number(checked)}")
        elif fault or not parameter.contains(checked):
            what = "one of" if parameter.kind == "choice" else "a whole number within"
            hint = nearest(str(value), [v for v in parameter.values if isinstance(v, str)])
            self._fault(path, f"can never be {number(value)}; it is {what} {described}{f'; {hint}' if hint else ''}")
        return checked

    def _ancestors(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = list(self.parameters[name].when)
        while waiting:
            field = waiting.pop()
            if field not in found and field in self.parameters:
                found.add(field)
                waiting += self.parameters[field].when
        return found

    def _read_published(self, published: Any) -> None:
        if published is None:
            return
        if not isinstance(published, list):
            self._fault(("published",), "should be a list, each entry opening with `- name:`")
            return
        for index, entry in enumerate(published):
            path: Path = ("published", index)
            described = self._mapping(path, entry, PUBLISHED_KEYS)
            if described is None:
                continue
            config = self._published_config((*path, "config"), described["config"]) if "config" in described else {}
            try:
                read = Published.model_validate({**described, "config": config})
            except ValidationError as error:
                for fault in error.errors():
                    what = fault["msg"][0].lower() + fault["msg"][1:]
                    self._fault((*path, *fault["loc"]), "missing" if fault["type"] == "missing" else what)
                continue
            if "config" not in described:
                self._fault((*path, "config"), "missing")
            if read.name in [other.name for other in self.published]:
                self._fault((*path, "name"), f"{read.name} is the name of an earlier entry; names must differ")
            for field in read.chosen:
                if field not in config:
                    hint = nearest(field, config) or "it must explain a setting of config"
                    self._fault((*path, "chosen", field), f"is not in config; {hint}")
            self.published.append(read)

    def _published_config(self, path: Path, given: Any) -> dict[str, Any]:
        config: dict[str, Any] = {}
        faulty: set[str] = set()
        for name, value in (self._mapping(path, given) or {}).items():
            at: Path = (*path, name)
            if name == "backbone":
                if value != self.backbone:
                    self._fault(at, f"is {value!r}, but this file is for {self.backbone}; it belongs in that one's")
            elif name not in FIELDS:
                hint = nearest(name, FIELDS) or f"the settings are {', '.join(FIELDS)}"
                self._fault(at, f"no such setting; {hint}")
            else:
                config[name], good = self._value(at, name, value)
                faulty |= set() if good else {name}
        for name, parameter in self.parameters.items():
            if name not in config and name not in faulty and parameter.applies(config):
                self._fault(
                    path,
                    f"does not give {name}, which is searched here; if the paper leaves it open, "
                    "choose a value and say why under `chosen`",
                )
        return config

    def _check_model(self) -> None:
        from fer_tune.models.factory import check_backbone
        from fer_tune.models.stages import stage_count

        try:
            check_backbone(self.backbone)
        except UserError as error:
            self._fault(("backbone",), str(error))
            return
        if not any(depth for _, depth in self._depths):  # counting stages builds the model: not for nothing
            return
        stages = stage_count(self.backbone)
        for path, depth in self._depths:
            if depth > stages:
                self._fault(
                    path,
                    f"{depth} is beyond the {stages} stages of {self.backbone}; the largest is {stages} "
                    "(only the classifier is trained)",
                )
