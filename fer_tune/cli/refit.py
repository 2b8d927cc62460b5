"""`fer-tune refit`: train the best configurations again, with several seeds each."""

from __future__ import annotations

from typing import Any

import typer

from analysis.actions.refit import again, refit
from fer_tune.cli.parts.shell import command as made_from


@made_from(refit)
def command(given: dict[str, Any]) -> None:
    from rich.console import Console

    from analysis.folds.run import load_any

    run = load_any(given.pop("run"))
    failed = bool(run.refit(**given)["failed"].sum())
    following = again(run.quoted, given.get("on", "train")) if failed else f"fer-tune test {run.quoted}"
    Console(soft_wrap=True).print(f"next: {following}", highlight=False)
    if failed:
        raise typer.Exit(1)
