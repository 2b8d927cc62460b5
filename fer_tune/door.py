"""What makes a function a door: callable from Python and, by `fer_tune.cli.parts.shell`, from the command line.

Its signature is the one definition of both.  A parameter's annotation says its type, and beside it what it is for and
within which bounds it must lie::

    @door
    def search(data: Annotated[str, Doc("A dataset.")], *, trials: Annotated[int, Doc("Per backbone."), Ge(1)] = 20):

A bound that is broken, a wrong type or a name that is none of those allowed is a `UserError` which names the option.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from fer_tune.errors import UserError, nearest

P = ParamSpec("P")
R = TypeVar("R")

_UNCHECKED = ("self", "run")  # the object that a method is called on


class Interrupted(KeyboardInterrupt):
    """What was running ended cleanly, because somebody asked for it; the message says how to go on.

    Attributes:
        run: the run as far as it came.
    """

    def __init__(self, message: str, run: Any = None) -> None:
        super().__init__(message)
        self.run = run


class GaveUpError(UserError):
    """A search ended by itself, since trial after trial failed for one reason.

    Attributes:
        run: the run as far as it came.
    """

    def __init__(self, message: str, run: Any = None) -> None:
        super().__init__(message)
        self.run = run


def door(function: Callable[P, R]) -> Callable[P, R]:
    """Have every argument of ``function`` checked against its annotation before it runs.

    Raises:
        UserError: when it is called, with the first argument that does not fit.
    """

    @functools.wraps(function)
    def checked_first(*args: P.args, **kwargs: P.kwargs) -> R:
        given = inspect.signature(function).bind(*args, **kwargs)
        given.arguments = checked(function, given.arguments)
        return function(*given.args, **given.kwargs)

    return checked_first


def checked(function: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments ``given`` of a function by name, as its annotations have them.

    Raises:
        UserError: one does not fit.
    """
    parameters = signature(function).parameters
    return {
        name: value
        if name in _UNCHECKED or parameters[name].annotation is inspect.Parameter.empty
        else _checked(name, value, parameters[name].annotation)
        for name, value in given.items()
    }


@functools.cache
def signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature with the annotations of its parameters evaluated, ``Annotated`` and all."""
    found = inspect.signature(function)
    names = inspect.unwrap(function).__globals__
    evaluated = [
        each.replace(annotation=eval(each.annotation, names))
        if isinstance(each.annotation, str) and each.name not in _UNCHECKED
        else each
        for each in found.parameters.values()
    ]
    return found.replace(parameters=evaluated)


def option(name: str) -> str:
    """Return the command line's name of a parameter.

    >>> option("grace_period")
    '--grace-period'
    """
    return f"--{name.replace('_', '-')}"


def _checked(name: str, value: Any, annotation: Any) -> Any:
    values = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(each, str) and not each.strip() for each in values):  # a path would be where the program runs
        raise UserError(f"{option(name)}: is empty; leave it out, or is a variable of the shell not set?")
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError as error:
        allowed = choices(annotation)
        if isinstance(value, list | tuple) and allowed:
            value = next((each for each in value if each not in allowed), value)
        raise UserError(f"{option(name)} {_told(value)}: {_fault(error.errors()[-1], value, allowed)}") from None


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))


def _fault(fault: ErrorDetails, value: Any, allowed: tuple[str, ...]) -> str:
    if allowed:
        hint = nearest(value, allowed) if isinstance(value, str) else ""
        return f"one of {', '.join(allowed)}" + (f"; {hint}" if hint else "")
    return f"{fault['msg'][0].lower()}{fault['msg'][1:]}".removeprefix("input ")


def choices(annotation: Any) -> tuple[str, ...]:
    """Return the names that an annotation allows, itself or in a sequence; none where it allows other values too.

    >>> choices(Annotated[Literal["a", "b"] | None, "for something"])
    ('a', 'b')
    """
    if get_origin(annotation) is Literal:
        return tuple(each for each in get_args(annotation) if isinstance(each, str))
    inner = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    return next((found for each in inner if (found := choices(each))), ())


def _told(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) else repr(value)


class CallablePackage(ModuleType):
    """A package that is a door too: ``fer_tune.search(...)`` searches, ``fer_tune.search.spaces`` is a room behind it.

    The function stands in a module above the package, so it is looked up when it is called.
    """

    door_module: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function of the package's name in its door's module."""
        return self._function()(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """What a notebook shows of the arguments."""
        return inspect.signature(self._function())

    def _function(self) -> Callable[..., Any]:
        import importlib

        found: Callable[..., Any] = getattr(importlib.import_module(self.door_module), self.__name__.split(".")[-1])
        return found
