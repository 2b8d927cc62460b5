"""Search spaces with settings that a user gives beside them: `--fix`, `--range`, `--choice`.

A space with changes is checked as a file is, by the same `Checker`; a fault of a change is told under its option.
What was there before makes room:

* a setting that becomes fixed, or gets fewer values, settles conditions that read it.  Where one always holds, it goes;
  what can never apply any more is not searched, which is said;
* a published configuration runs as published: it keeps what the space said before, or the default, where it names no
  value itself;
* settings that are known to be good are tried where the space can still draw them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fer_tune.config import FIELDS, TrialConfig
from fer_tune.errors import UserError
from fer_tune.run_folder import Candidate
from fer_tune.search.options import Change
from fer_tune.search.spaces.checker import Checker
from fer_tune.search.spaces.document import Document
from fer_tune.search.spaces.faults import JUDGED_BY_THE_MODEL, SET_BY_THE_SEARCH
from fer_tune.search.spaces.parameter import check_value, is_integer, number
from fer_tune.search.spaces.space import SearchSpace

LOGARITHMIC = ("learning_rate", "weight_decay")
"""Settings of which every factor of ten counts alike, so a range of theirs is logarithmic unless told."""

_INSTEAD = {  # what a file is told to do -> what to do on the command line
    "or put it in fixed": "or use --fix",
    "put a single one in fixed": "use --fix",
    "or use uniform": "or add :linear",
    "use choice": "use --choice",
    "as a choice": "as --choice",
    "use integer or choice": "leave :log and :linear out, or use --choice",
    "it is the `backbone:` of this file": "name it as --backbone",
}


def with_changes(
    spaces: Mapping[str, SearchSpace], changes: Sequence[Change]
) -> tuple[dict[str, SearchSpace], list[str]]:
    """Return the spaces with ``changes`` made in each, and what follows from them, in words.

    Args:
        spaces: by backbone.
        changes: as :func:`fer_tune.search.spaces.given.read_changes` returns them.

    Raises:
        UserError: all faults at once.
    """
    if not changes:
        return dict(spaces), []
    made = {name: _Changed(space, changes) for name, space in spaces.items()}
    if faults := [fault for each in made.values() for fault in each.faults]:
        raise UserError("\n".join(dict.fromkeys(faults)))  # what several spaces share is told once
    return {name: each.space for name, each in made.items()}, [line for each in made.values() for line in each.told]


class _Changed:
    """One space with changes.

    Attributes:
        space: the result, if there are no faults.
        faults: sentences, each after the option or the space that is at fault.
        told: what follows from the changes.
    """

    space: SearchSpace

    def __init__(self, space: SearchSpace, changes: Sequence[Change]) -> None:
        self.faults: list[str] = []
        self.told: list[str] = []
        self._before = space
        self._changes = {change.field: change for change in changes}
        self._search: dict[str, dict[str, Any]] = {name: p.as_yaml() for name, p in space.parameters.items()}
        self._fixed = dict(space.fixed)
        for change in changes:
            self._make(change)
        self._settle()
        known_good = [
            entry.model_copy(update={"config": self._completed(entry, self._search)}) for entry in space.known_good
        ]
        checker = Checker(self._document(), against_model=not self._changes.keys().isdisjoint(JUDGED_BY_THE_MODEL))
        self.faults += [self._message(*fault) for fault in checker.faults.found]
        if not self.faults:
            self.space = SearchSpace(
                backbone=space.backbone,
                about=space.about,
                parameters=checker.parameters,
                fixed=checker.fixed,
                published=checker.published,
                known_good=known_good,
            )
            fit = {entry.name for entry in self.space.fitting()}
            if out := [entry.name for entry in space.fitting() if entry.name not in fit]:
                self.told.append(f"{space.backbone}: not tried first, since it lies outside now: {', '.join(out)}")

    def _make(self, change: Change) -> None:
        self._fixed.pop(change.field, None)
        if change.how == "fix":
            self._search.pop(change.field, None)
            self._fixed[change.field] = change.value
            return
        when = {key: value for key, value in self._search.get(change.field, {}).items() if key == "when"}
        drawn = {"choice": change.value} if change.how == "choice" else {self._kind(change): list(change.value[:2])}
        self._search[change.field] = {**drawn, **when}

    def _kind(self, change: Change) -> str:
        field, (_, _, scale) = change.field, change.value
        if not scale and field in FIELDS and is_integer(field):
            return "integer"
        before = self._before.parameters.get(field)
        logarithmic = field in LOGARITHMIC or (before is not None and before.kind == "log_uniform")
        return "log_uniform" if scale == "log" or (logarithmic and not scale) else "uniform"

    def _settle(self) -> None:
        """Take out the conditions that always hold, and the settings that can never apply."""
        settled = False
        while not settled:  # what goes may be what another setting depends on
            settled = True
            for name, entry in list(self._search.items()):
                when: dict[str, list[Any]] = {}
                for field, values in entry.pop("when", {}).items():
                    values = values if isinstance(values, list) else [values]
                    left = self._left(field, values)
                    if left is None:
                        continue
                    if not left:
                        self._never(name, field, values)
                        settled = False
                        break
                    when[field] = left
                if when:
                    entry["when"] = when

    def _left(self, field: str, values: list[Any]) -> list[Any] | None:
        """Return which of the values that a condition asks for are still possible; None where it always holds."""
        if field in self._fixed:
            return None if check_value(field, self._fixed[field])[0] in values else []
        if field not in self._search:
            return []
        entry = self._search[field]
        if "choice" in entry:
            drawn = [check_value(field, value)[0] for value in entry["choice"]]
            return [value for value in values if value in drawn]
        if "integer" in entry:
            low, high = entry["integer"]
            return [value for value in values if low <= value <= high] if _numbers(low, high) else values
        return values  # a range that never equals a value is a fault, which the checker tells

    def _never(self, name: str, field: str, values: list[Any]) -> None:
        del self._search[name]
        cause = self._changes[field].said if field in self._changes else f"{field} is not searched either"
        only = f"where {field} is {' or '.join(map(number, values))}"
        if name in self._changes:
            said = self._changes.pop(name).said
            self.faults.append(
                f"{said}: {name} is drawn only {only}, and {cause} rules that out; leave one of them out"
            )
        else:
            self.told.append(f"{self._before.backbone}: {name} is not searched: it is drawn only {only} ({cause})")

    def _completed(self, entry: Candidate, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of an entry with what stood before for those of ``fields`` that were changed."""
        space, config = self._before, entry.config
        before = {
            field: space.fixed.get(field, TrialConfig.model_fields[field].default)
            for field in self._changes
            if field in fields and field in FIELDS and field not in SET_BY_THE_SEARCH
        }
        applied = {**space.fixed, **config}
        skipped = {name for name, p in space.parameters.items() if not p.applies(applied)}
        return {**{field: value for field, value in before.items() if field not in skipped}, **config}

    def _document(self) -> Document:
        space = self._before
        published = [
            entry.model_copy(update={"config": self._completed(entry, self._changes)}) for entry in space.published
        ]
        data = {
            "backbone": space.backbone,
            "search": self._search,
            "fixed": self._fixed,
            "published": [entry.model_dump(mode="json") for entry in published],
        }
        document = Document(f"the space of {space.backbone}", data)
        for field, change in self._changes.items():
            at = ("fixed" if change.how == "fix" else "search", field)
            document.lines[at], document.files[at] = 0, change.said
        return document

    def _message(self, file: str, line: int, sentence: str) -> str:
        change = next((each for each in self._changes.values() if each.said == file), None)
        if change is None:
            return f"{file}: {sentence}"
        sentence = re.sub(rf"^(search|fixed)\.{re.escape(change.field)}(\.\w+)*: ", "", sentence)
        for there, here in _INSTEAD.items():
            sentence = sentence.replace(there, here)
        return f"{file}: {sentence}"


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)
