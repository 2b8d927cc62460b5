"""A command of the command line, made from a door's signature: the same names, bounds, defaults and words."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from annotated_types import Ge, Le
from typing_extensions import Doc

from fer_tune.door import Interrupted, choices, option, signature

RUN = typer.Argument(help="The run's folder, as `fer-tune search` made it, or its URI.", metavar="RUN")


def command(
    function: Callable[..., Any], *, arguments: Sequence[str] = (), without: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a function of ``(given, **its own options)`` the options of a door.

    What the door is called with comes as ``given``, by name; what the decorated function has besides stays its own.
    An interrupt that the door tells of ends the program with 130, after its message.

    Args:
        function: the door; its first line of documentation is the command's help.
        arguments: parameters that are given by their place and not as an option.
        without: parameters that the command line does not offer.
    """

    def decorate(shown: Callable[..., None]) -> Callable[..., None]:
        own = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, each in signature(shown).parameters.items()
            if name != "given"
        ]
        taken = [
            _parameter(each, positional=name in arguments)
            for name, each in signature(function).parameters.items()
            if name not in without
        ]
        names = [each.name for each in taken]

        @functools.wraps(shown)
        def run(**options: Any) -> None:
            given = {name: value for name in names if (value := options.pop(name)) is not None and value != []}
            try:
                shown(given, **options)
            except Interrupted as stop:
                typer.echo(stop)
                raise typer.Exit(130) from None

        run.__signature__ = inspect.Signature([*taken, *own])  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in (*taken, *own)}
        run.__doc__ = shown.__doc__ or _help(function)
        return run

    return decorate


def _parameter(parameter: inspect.Parameter, *, positional: bool) -> inspect.Parameter:
    name, default, kind = parameter.name, parameter.default, inspect.Parameter.KEYWORD_ONLY
    if name == "run":
        return inspect.Parameter(name, kind, annotation=Annotated[str, RUN])
    annotation, metadata = parameter.annotation, list[Any]()
    if get_origin(annotation) is Annotated:
        annotation, *metadata = get_args(annotation)
    text = next((each.documentation for each in metadata if isinstance(each, Doc)), "")
    if allowed := choices(annotation):
        text = f"{text} [{', '.join(allowed)}]"
    shown = _type(annotation)
    about: Any
    if positional:
        about = typer.Argument(help=text, metavar=name.upper())
        default = None if default == () else default
    elif default is False:
        about = typer.Option(option(name), help=text)  # no --no-..., which is what is anyway
    elif shown == list[str] | None:
        about = typer.Option(option(name), help=text)
        default = None if isinstance(default, str) else default  # the door's own default, a single one
    else:
        about = typer.Option(help=f"{text}{_bounds(metadata)}")
    return inspect.Parameter(name, kind, default=default, annotation=Annotated[shown, about])


def _bounds(metadata: list[Any]) -> str:
    """Return ``[1 or more]`` for what a door's annotation says of a number; the door itself keeps to it."""
    least = next((each.ge for each in metadata if isinstance(each, Ge)), None)
    most = next((each.le for each in metadata if isinstance(each, Le)), None)
    if least is None:
        return ""
    return f" [{least} or more]" if most is None else f" [{least} to {most}]"


def _type(annotation: Any) -> Any:
    """Return what the command line can read of an annotation; the door checks the rest."""
    if get_origin(annotation) in (Union, UnionType):
        parts = [each for each in get_args(annotation) if each is not type(None)]
        optional = len(parts) < len(get_args(annotation))
        found = list[str] if any(_is_sequence(each) for each in parts) else _single(parts)
        return found | None if optional or found == list[str] else found
    return list[str] | None if _is_sequence(annotation) else _single([annotation])


def _single(parts: list[Any]) -> Any:
    plain = {str if each in (str, Path, Any) or get_origin(each) is Literal else each for each in parts}
    return str if str in plain else plain.pop()


def _is_sequence(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Sequence)


def _help(function: Callable[..., Any]) -> str:
    """Return the documentation of a door up to its sections."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    sections = ("Args:", "Returns", "Raises", ">>>", "Attributes:")
    return "\n\n".join(text for text in paragraphs if not text.startswith(sections))
