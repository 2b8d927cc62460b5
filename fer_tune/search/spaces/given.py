"""Settings given beside a space, as text or as Python values: `--fix`, `--range` and `--choice` of a search.

::

    --fix optimizer=adamw                      fix={"optimizer": "adamw"}
    --range learning_rate=1e-4:1e-2            range={"learning_rate": (1e-4, 1e-2)}
    --range weight_decay=0:0.1:linear          range={"weight_decay": (0, 0.1, "linear")}
    --choice batch_size=128,256                choice={"batch_size": [128, 256]}

What they mean for a space, and whether it can have them, is in :mod:`fer_tune.search.spaces.changes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from fer_tune.config import FIELDS
from fer_tune.errors import UserError
from fer_tune.search.options import Change
from fer_tune.search.spaces.document import read
from fer_tune.search.spaces.parameter import check_value, named_values, number

Given = Mapping[str, Any] | Sequence[str] | str | None
How = Literal["fix", "range", "choice"]

_SHAPES = {
    "fix": "SETTING=VALUE, such as --fix optimizer=adamw",
    "range": "SETTING=LOW:HIGH, such as --range learning_rate=1e-4:1e-2; LOW:HIGH:linear and LOW:HIGH:log say how",
    "choice": "SETTING=VALUE,VALUE, such as --choice batch_size=128,256",
}


def read_changes(fix: Given = None, range: Given = None, choice: Given = None) -> tuple[Change, ...]:
    """Return what is given beside a space, in its order; a setting may be given once.

    Raises:
        UserError: a text that cannot be read, or a setting that is given twice.

    >>> [(each.field, each.value) for each in read_changes("head=64", ["weight_decay=0:0.1:linear"])]
    [('head', 64), ('weight_decay', (0, 0.1, 'linear'))]
    """
    given: dict[How, Given] = {"fix": fix, "range": range, "choice": choice}
    found: dict[str, Change] = {}
    for how in get_args(How):
        for change in _changes(how, given[how]):
            if change.field in found:
                raise UserError(f"{change.said}: {change.field} is given as {found[change.field].said} too; keep one")
            found[change.field] = change
    return tuple(found.values())


def _changes(how: How, given: Given) -> Iterator[Change]:
    if isinstance(given, Mapping):
        for field, value in given.items():
            yield _change(how, str(field), value, f"--{how} {field}={_said(how, value)}")
        return
    for text in [given] if isinstance(given, str) else given or ():
        field, equals, value = text.partition("=")
        if not equals or not field.strip() or not value.strip():
            raise UserError(f"--{how} {text}: should be {_SHAPES[how]}")
        yield _change(how, field.strip(), value, f"--{how} {text}")


def _change(how: How, field: str, value: Any, said: str) -> Change:
    if how == "fix":
        return Change(how, field, _plain(field, value), said)
    if isinstance(value, str):
        value = value.split(":" if how == "range" else ",")
    elif not isinstance(value, Sequence):
        value = [value]
    if any(isinstance(each, str) and not each.strip() for each in value):
        raise UserError(f"{said}: a value is missing: should be {_SHAPES[how]}")
    if how == "choice":
        return Change(how, field, [_plain(field, each) for each in value], said)
    scale = str(value[2]).strip() if len(value) == 3 else ""
    if len(value) not in (2, 3) or scale not in (("linear", "log") if len(value) == 3 else ("",)):
        raise UserError(f"{said}: should be {_SHAPES[how]}")
    return Change(how, field, (_plain(field, value[0]), _plain(field, value[1]), scale), said)


def _plain(field: str, value: Any) -> Any:
    """Return a value; of a text what a space file would have there, where ``none`` may stand for no value."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    document = read(text, "")
    plain = text if document.faults or isinstance(document.data, dict | list) else document.data
    if text == "none" and field in FIELDS and text not in named_values(field) and not check_value(field, None)[1]:
        return None
    return plain


def _said(how: How, value: Any) -> str:
    if how == "fix" or isinstance(value, str) or not isinstance(value, Sequence):
        return number(value)
    return (":" if how == "range" else ",").join(map(number, value))
