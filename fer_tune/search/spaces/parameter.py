"""One searched field: how its values are drawn, and when it applies."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any, Literal, get_args

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from fer_tune.config import TrialConfig
from fer_tune.errors import nearest

Kind = Literal["log_uniform", "uniform", "integer", "choice"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Parameter(BaseModel):
    """How one field of :class:`~fer_tune.config.TrialConfig` is searched.

    Attributes:
        name: the field.
        kind: ``log_uniform`` and ``uniform`` draw floats, ``integer`` draws integers (both ends included), ``choice``
            draws one of the values.
        values: ``(low, high)``, or the values of a ``choice``.
        when: field -> values; the parameter applies only where each named field, itself searched, has one of these.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Kind
    values: tuple[Any, ...]
    when: dict[str, tuple[Any, ...]] = {}

    def suggest(self, trial: optuna.trial.BaseTrial) -> Any:
        """Draw a value in ``trial``, or read the one that it was enqueued with."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.name, self.values)
        low, high = self.values
        if self.kind == "integer":
            return trial.suggest_int(self.name, low, high)
        return trial.suggest_float(self.name, low, high, log=self.kind == "log_uniform")

    @property
    def distribution(self) -> BaseDistribution:
        """How Optuna has it."""
        if self.kind == "choice":
            return CategoricalDistribution(self.values)
        low, high = self.values
        if self.kind == "integer":
            return IntDistribution(low, high)
        return FloatDistribution(low, high, log=self.kind == "log_uniform")

    def contains(self, value: Any) -> bool:
        """Return whether the parameter can take ``value``."""
        if self.kind == "choice":
            return value in self.values
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if self.kind == "integer" and value != int(value):
            return False
        low, high = self.values
        return bool(low <= value <= high)

    def applies(self, settings: dict[str, Any]) -> bool:
        """Return whether ``settings`` meet every condition of ``when``; a field that is absent meets none."""
        return all(field in settings and settings[field] in values for field, values in self.when.items())

    def describe(self) -> str:
        """Return the values for people: ``0.0003 to 0.03, logarithmic`` or ``32, 64, 128``."""
        if self.kind == "choice":
            return ", ".join(map(number, self.values))
        ends = " to ".join(map(number, self.values))
        return f"{ends}, logarithmic" if self.kind == "log_uniform" else ends

    def as_yaml(self) -> dict[str, Any]:
        """Return what a space file says of this parameter, such as ``{"integer": [0, 4]}``."""
        described: dict[str, Any] = {self.kind: list(self.values)}
        if self.when:
            described["when"] = {
                field: values[0] if len(values) == 1 else list(values) for field, values in self.when.items()
            }
        return described


def is_integer(field: str) -> bool:
    """Return whether the field holds whole numbers."""
    return int in _types(field)


def is_number(field: str) -> bool:
    """Return whether the field holds numbers."""
    return bool(_types(field) & {int, float})


def check_value(field: str, value: Any) -> tuple[Any, str | None]:
    """Convert ``value`` to the type of a field of ``TrialConfig`` and check its bounds.

    Returns:
        The value as the field holds it, and None or the sentence that says what is wrong with it.
    """
    if is_number(field) and isinstance(value, bool):
        return value, f"should be a number, but it is {str(value).lower()}"
    try:
        return _adapter(field).validate_python(value), None
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        hint = nearest(value, named_values(field)) if isinstance(value, str) else ""
        sentence = f"{message[0].lower()}{message[1:]}, but it is {value!r}"
        return value, sentence.removeprefix("input ") + (f"; {hint}" if hint else "")


def number(value: Any) -> str:
    """Return a value as a person writes it: 0.0003, 3e-05, 64, adamw, none."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return str(value)


@cache
def _adapter(field: str) -> TypeAdapter[Any]:
    info = TrialConfig.model_fields[field]
    constrained: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    return TypeAdapter(constrained, config=ConfigDict(allow_inf_nan=False))


def _types(field: str) -> set[Any]:
    annotation = TrialConfig.model_fields[field].annotation
    return {annotation, *get_args(annotation)}


def named_values(field: str) -> tuple[str, ...]:
    """Return the words that a field may hold, such as those of ``optimizer``; empty where it takes any or none."""
    return tuple(value for value in get_args(TrialConfig.model_fields[field].annotation) if isinstance(value, str))
