"""`fer-tune search`: search the settings of one or more backbones on a prepared dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fer_tune import api
from fer_tune.amounts import amount
from fer_tune.cli.parts.shell import command as made_from
from fer_tune.door import GaveUpError, Interrupted
from fer_tune.errors import UserError

if TYPE_CHECKING:
    from analysis import Run
    from analysis.folds.run import FoldsRun
    from fer_tune.run_folder import RunFolder
    from fer_tune.search.watching.output import Output

Quiet = Annotated[bool, typer.Option("--quiet", help="Print the run folder at the end, and nothing else.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON line per event, for programs.")]


@made_from(api.search, without=("output",))
def command(
    given: dict[str, Any],
    quiet: Quiet = False,
    as_json: Json = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and what it would take, from some timed steps.")
    ] = False,
) -> None:
    how = shown_as(quiet=quiet, as_json=as_json)
    if dry_run:
        _say_what_it_takes(given)
        return
    concluded(lambda: api.search(**given, output=how), how)


def _say_what_it_takes(given: dict[str, Any]) -> None:
    from pathlib import Path

    from fer_tune.data.prepared.folds import read_folds
    from fer_tune.search.sizing.estimate import estimate
    from fer_tune.search.sizing.report import report

    folds = read_folds(given["data"])
    if folds:
        given = {**given, "data": str(Path(given["data"]) / folds.folds[0].name)}
    typer.echo(report(estimate(api.search_options(**given))))
    if folds:
        typer.echo(f"that is one of {len(folds.folds)} folds, which are searched one after the other")


def shown_as(*, quiet: bool, as_json: bool) -> Output:
    """Return how a search shows itself."""
    if quiet and as_json:
        raise UserError("--quiet and --json: one of them")
    return "quiet" if quiet else "json" if as_json else "text"


def concluded(search: Any, how: Output) -> None:
    """Search, then print the leaderboard and the next command; exit with 1 when trials failed alike.

    Raises:
        Interrupted: as `search` does, with the leaderboard printed.
    """
    from analysis import Run

    try:
        run: Run | FoldsRun = search()
    except Interrupted as stop:
        _tell(stop.run, how, interrupted=True)
        if how != "text":
            raise typer.Exit(130) from None
        raise
    except GaveUpError as end:
        _tell(end.run, how, reason=str(end).partition(". Go on with: ")[0])
        typer.echo(end, err=True)
        raise typer.Exit(1) from None
    if not isinstance(run, Run):
        _tell_folds(run, how)
        return
    _tell(run, how, reason=run.reason)
    if how == "quiet":
        typer.echo(run.place)
    elif how == "text":
        from fer_tune.tracking.sweep import page_of
        from fer_tune.tracking.sync import sync_hint

        if run.reason:
            typer.echo(f"{run.reason}. Go on with: fer-tune resume {run.quoted}")
        if page := page_of(run.folder):
            typer.echo(page)
        if hint := sync_hint(run.folder):
            typer.echo(hint)
        typer.echo(f"run folder: {run.place}\nnext: fer-tune refit {run.quoted}")


def _tell_folds(run: FoldsRun, how: Output) -> None:
    if how == "json":
        typer.echo(json.dumps({"event": "folds", "run": run.place, "folds": len(run.runs), "finished": True}))
    elif how == "quiet":
        typer.echo(run.place)
    else:
        from analysis.words import full

        for name, own in run.runs.items():
            best = own.ranked[0] if own.ranked else None
            told = f"{full(best[own.aim.column], own.aim)} on validation" if best else "no trial ended well"
            typer.echo(f"{name}: {amount(len(own.rows), 'trial')}, the best {told}")
        typer.echo(f"run folder: {run.place}\nnext: fer-tune refit {run.quoted}")


def _tell(run: Run, how: Output, *, interrupted: bool = False, reason: str = "") -> None:
    if how == "json":
        facts = {"event": "search", "run": run.place, "finished": not (interrupted or reason)}
        typer.echo(json.dumps({**facts, "interrupted": interrupted, "reason": reason}))
    elif how == "text":
        from fer_tune.cli.parts.leaderboard import print_leaderboard

        print_leaderboard(run)
        _print_front(run.folder)


def _print_front(run: RunFolder) -> None:
    from analysis.trials.pareto import pareto_table, second_objective

    settings = run.settings()
    second = second_objective(settings)
    if second and run.trials_file.is_file():
        from fer_tune.console_table import table_console
        from fer_tune.filing.tables import read_table

        table_console().print(pareto_table(read_table(run.trials_file).to_pylist(), second, settings.aim))
