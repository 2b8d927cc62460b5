"""What a search space file may say, and every fault that it can have.

Nothing is raised on the way: the faults of a file are collected and told together, each with its line.
"""

from __future__ import annotations

from typing import Any

from fer_tune.errors import UserError, nearest
from fer_tune.run_folder import Published
from fer_tune.search.spaces.document import Document, Path
from fer_tune.search.spaces.entries import read_known_good, read_published
from fer_tune.search.spaces.faults import Faults
from fer_tune.search.spaces.parameter import KINDS, Parameter, check_value, is_integer, is_number, number
from fer_tune.search.spaces.space import KnownGood

KEYS = ("extends", "without", "backbone", "about", "search", "fixed", "published", "known_good")


class Checker:
    """Reads one document into the parts of a search space, and collects its faults.

    Args:
        document: the data, with the lines they stand on.
        against_model: also check that the backbone exists and has as many stages as freeze depths ask for; this
            imports the model libraries (seconds).
    """

    def __init__(self, document: Document, *, against_model: bool = True) -> None:
        self.faults = Faults(document)
        self.backbone = ""
        self.about = ""
        self.parameters: dict[str, Parameter] = {}
        self.fixed: dict[str, Any] = {}
        self.published: list[Published] = []
        self.known_good: list[KnownGood] = []
        self._searched: set[str] = set()  # names, also of parameters that have faults
        self._conditions: dict[str, dict[str, tuple[Any, ...]]] = {}
        if document.data is None and document.faults:
            return
        top = self.faults.mapping((), document.data, KEYS)
        if top is None:
            return
        self._read_head(top)
        if "search" in top:
            self._read_search(top["search"])
        self._read_fixed(top.get("fixed"))
        self._check_conditions()
        self._check_views()
        self.published = read_published(self.faults, top.get("published"), self.backbone, self.parameters)
        self.known_good = read_known_good(self.faults, top.get("known_good"), self.parameters)
        if against_model and self.backbone:
            self._check_model()

    def _read_head(self, top: dict[str, Any]) -> None:
        for key in ("backbone", "search"):
            if key not in top:
                self.faults.add((), f"{key}: missing")
        if "backbone" in top:
            if isinstance(top["backbone"], str) and top["backbone"].strip():
                self.backbone = top["backbone"]
            else:
                self.faults.add(("backbone",), f"should name a network, but it is {top['backbone']!r}")
        self.about = " ".join(str(top.get("about") or "").split())

    def _read_search(self, search: Any) -> None:
        entries = self.faults.mapping(("search",), search)
        if entries is None:
            return
        if not entries:
            self.faults.add(("search",), "is empty: name at least one setting to search")
        for name, entry in entries.items():
            path: Path = ("search", name)
            if not self.faults.searchable(path, name):
                continue
            self._searched.add(name)
            described = self.faults.mapping(path, entry, (*KINDS, "when"))
            if described is None:
                continue
            if "when" in described:
                self._read_condition(name, described["when"])
            kinds = [kind for kind in KINDS if kind in described]
            if len(kinds) == 1:
                values = self._values(path, name, kinds[0], described[kinds[0]])
                if values is not None:
                    self.parameters[name] = Parameter(name=name, kind=kinds[0], values=values)
            elif kinds or described.keys() == entry.keys():  # else it is told as a misspelt key
                said = " and ".join(kinds) if kinds else "none"
                self.faults.add(path, f"should have exactly one of {', '.join(KINDS)}, but it has {said}")

    def _values(self, path: Path, name: str, kind: str, given: Any) -> tuple[Any, ...] | None:
        at: Path = (*path, kind)
        if not isinstance(given, list) or (kind != "choice" and len(given) != 2):
            shape = "[value, value, ...]" if kind == "choice" else "[low, high]"
            self.faults.add(at, f"should be {shape}, but it is {given!r}")
            return None
        if kind != "choice" and not is_number(name):
            self.faults.add(at, f"{name} is not a number; use choice")
            return None
        if kind != "choice" and name == "image_size":
            self.faults.add(at, "few of the sizes in a range suit a network; list those that do, as a choice")
            return None
        if kind in ("uniform", "log_uniform") and is_integer(name):
            self.faults.add(at, f"{name} is a whole number; use integer or choice")
            return None
        if kind == "integer" and not is_integer(name):
            self.faults.add(at, f"{name} is not a whole number; use uniform or log_uniform")
            return None
        checked = [self.faults.value((*at, index), name, value) for index, value in enumerate(given)]
        if not all(good for _, good in checked):
            return None
        values = tuple(value for value, _ in checked)
        if kind == "choice":
            return values if self._good_choice(at, values) else None
        low, high = values
        if low >= high:
            self.faults.add(
                at, f"low {number(low)} is not below high {number(high)}; give [low, high], or put it in fixed"
            )
            return None
        if kind == "log_uniform" and low <= 0:
            self.faults.add(at, f"low {number(low)} has no logarithm: it must be above 0; or use uniform")
            return None
        return values

    def _good_choice(self, at: Path, values: tuple[Any, ...]) -> bool:
        if len(values) < 2:
            self.faults.add(at, "a choice needs at least two values; put a single one in fixed")
            return False
        twice = [value for index, value in enumerate(values) if value in values[:index]]
        if twice:
            self.faults.add(at, f"{number(twice[0])} is given twice")
        return not twice

    def _read_condition(self, name: str, given: Any) -> None:
        path: Path = ("search", name, "when")
        conditions = self.faults.mapping(path, given)
        if conditions == {}:
            self.faults.add(path, "is empty: name a searched setting and a value of it")
        self._conditions[name] = {
            field: tuple(values) if isinstance(values, list) else (values,)
            for field, values in (conditions or {}).items()
        }

    def _read_fixed(self, fixed: Any) -> None:
        if fixed is None:  # `fixed:` with nothing below it fixes nothing
            return
        for name, value in (self.faults.mapping(("fixed",), fixed) or {}).items():
            path: Path = ("fixed", name)
            if not self.faults.searchable(path, name):
                continue
            if name in self._searched:
                line = self.faults.document.line(("search", name))
                where = f" on line {line}" if line else ""
                self.faults.add(path, f"is both searched{where} and fixed; keep one of the two")
                continue
            checked, good = self.faults.value(path, name, value)
            if good:
                self.fixed[name] = checked

    def _check_views(self) -> None:
        views = [("fixed", self.fixed.get("augmented_views"))]
        if searched := self.parameters.get("augmented_views"):
            views = [("search", value) for value in searched.values]
        if self.fixed.get("augmentation") == 0 and any(value is not None for _, value in views):
            self.faults.add(
                (views[0][0], "augmented_views"),
                "does nothing where augmentation is fixed at 0: all views of an image are the same then; leave it out",
            )

    def _check_conditions(self) -> None:
        for name, conditions in self._conditions.items():
            when: dict[str, tuple[Any, ...]] = {}
            for field, values in conditions.items():
                path: Path = ("search", name, "when", field)
                if field not in self._searched:
                    known = sorted(self._searched - {name})
                    hint = nearest(field, known) or f"the searched settings are {', '.join(known)}"
                    self.faults.add(path, f"a condition must name a searched setting; {hint}")
                elif field in self.parameters:
                    when[field] = tuple(self._condition_value(path, self.parameters[field], value) for value in values)
            if name in self.parameters:
                self.parameters[name] = self.parameters[name].model_copy(update={"when": when})
        for name in self.parameters:
            if name in self._ancestors(name):
                self.faults.add(("search", name, "when"), "its condition depends on itself")

    def _condition_value(self, path: Path, parameter: Parameter, value: Any) -> Any:
        checked, fault = check_value(parameter.name, value)
        described = ", ".join(number(v) for v in parameter.values)
        if parameter.kind in ("uniform", "log_uniform"):
            self.faults.add(path, f"is drawn from a continuous range, so it never equals {number(checked)}")
        elif fault or not parameter.contains(checked):
            what = "one of" if parameter.kind == "choice" else "a whole number within"
            hint = nearest(str(value), [v for v in parameter.values if isinstance(v, str)])
            self.faults.add(
                path, f"can never be {number(value)}; it is {what} {described}{f'; {hint}' if hint else ''}"
            )
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

    def _check_model(self) -> None:
        from fer_tune.models.factory import check_backbone

        try:
            check_backbone(self.backbone)
        except UserError as error:
            self.faults.add(("backbone",), str(error))
            return
        self._check_depths()
        self._check_sizes()
        self._check_drop_path()

    def _check_depths(self) -> None:
        from fer_tune.models.stages import stage_count

        given = self.faults.of_model["freeze_depth"]
        if not any(depth for _, depth in given):  # counting stages builds the model: not for nothing
            return
        stages = stage_count(self.backbone)
        for path, depth in given:
            if depth > stages:
                self.faults.add(
                    path,
                    f"{depth} is beyond the {stages} stages of {self.backbone}; the largest is {stages} "
                    "(only the classifier is trained)",
                )

    def _check_sizes(self) -> None:
        from fer_tune.models.image_sizes import check_image_size

        for path, size in self.faults.of_model["image_size"]:
            if size is None:
                continue
            try:
                check_image_size(self.backbone, size)
            except UserError as error:
                self.faults.add(path, str(error).removeprefix("image_size: "))

    def _check_drop_path(self) -> None:
        import torch

        from fer_tune.models.factory import create_model

        given = [(path, rate) for path, rate in self.faults.of_model["drop_path_rate"] if rate]
        if not given:
            return
        try:
            with torch.device("meta"):
                create_model(self.backbone, num_classes=7, in_chans=3, drop_path_rate=given[0][1])
        except UserError as error:
            for path, _ in given:
                self.faults.add(path, str(error).removeprefix("drop_path_rate: "))
