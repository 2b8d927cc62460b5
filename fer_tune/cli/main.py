"""The `fer-tune` program: composes the commands, and turns a user's error into one message and exit code 2."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer
from rich.console import Console

from fer_tune.cli import (
    compare,
    dashboard,
    data,
    demo,
    export,
    predict,
    published,
    refit,
    report,
    resume,
    search,
    spaces,
    sync,
    test,
    watch,
)
from fer_tune.cli.parts.groups import group
from fer_tune.cli.parts.streams import lasting_streams
from fer_tune.errors import UserError
from fer_tune.tracking import attached
from fer_tune.version import __version__

_NARROWEST = 10  # columns; a console that says fewer, as 0 under some servers, does not know its width

app = group(
    name="fer-tune",
    help="Hyperparameter search for facial-emotion recognition, distributed by Ray, with honest evaluation.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.add_typer(spaces.app, name="spaces")
app.add_typer(published.app, name="published")
app.command("demo")(demo.command)
app.command("search")(search.command)
app.command("resume")(resume.command)
app.command("watch")(watch.command)
app.command("refit")(refit.command)
app.command("test")(test.command)
app.command("report")(report.command)
app.command("compare")(compare.command)
app.command("predict")(predict.command)
app.command("export")(export.command)
app.command("sync")(sync.command)
app.command("dashboard")(dashboard.command)


def _search_attachments(run: Path) -> attached.Attachments:
    from analysis.recording.attachments import for_search

    return for_search(run)


attached.to_search.append(_search_attachments)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"fer-tune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def _check_names() -> None:
    """Refuse names that the libraries for files would stumble over later: they take what is in Unicode alone.

    Raises:
        UserError: with the name and the cure.
    """
    encoding = sys.getfilesystemencoding()
    for name in (*sys.argv[1:], os.getcwd()):
        if name.isprintable() or not any("\udc80" <= sign <= "\udcff" for sign in name):  # see PEP 383
            continue
        cure = "rename it" if encoding == "utf-8" else "set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8"
        raise UserError(f"{name}: not a name in {encoding}, the encoding of this locale: {cure}")


def main() -> None:
    """Run the program; exit with 2 after a :class:`~fer_tune.errors.UserError`, printed alone."""
    if os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) < _NARROWEST:
        del os.environ["COLUMNS"]
    with lasting_streams():
        try:
            _check_names()
            app()
        except UserError as error:
            Console(stderr=True, soft_wrap=True, highlight=False).print(f"fer-tune: error: {error}", markup=False)
            sys.exit(2)
