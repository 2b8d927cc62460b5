"""A group of commands, as `fer-tune` itself and `fer-tune data`: what its help looks like."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup


def group(**options: Any) -> typer.Typer:
    """Return a group whose help is plain text.

    Rich's tables cut the names of options in 80 columns, and have nothing left in 40.
    """
    return typer.Typer(cls=_Group, rich_markup_mode=None, no_args_is_help=True, **options)


class _Group(TyperGroup):
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with their first paragraph, whole; else its end is cut."""
        about = {name: (self.commands[name].help or "").partition("\n\n")[0] for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, " ".join(text.split())) for name, text in about.items()])
