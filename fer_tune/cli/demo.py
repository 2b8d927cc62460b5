"""`fer-tune demo`: everything once, on drawn faces."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fer_tune.errors import UserError


def command(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="A new folder for the dataset and the run.")] = Path("demo"),
    size: Annotated[int, typer.Option(min=140, help="Faces to draw, for all three splits.")] = 2400,
    trials: Annotated[int, typer.Option(min=1, help="Trials per backbone; there are two.")] = 8,
    epochs: Annotated[int, typer.Option(min=1, help="Most epochs of one trial, and those of a refit.")] = 6,
) -> None:
    """Search, refit, test and report on drawn faces, by the commands that it prints.

    They run one after another in this process, on one Ray, so that Python, torch and Ray start once and not five times.
    """
    if out.exists():
        raise UserError(f"--out {out}: exists; remove it, or choose another folder")
    program = context.find_root().command
    data, runs, run = str(out / "data"), str(out / "runs"), str(out / "runs" / "demo")

    def type_in(*words: str) -> None:
        typer.echo(f"\n$ fer-tune {shlex.join(words)}")
        code = program.main([*words], prog_name="fer-tune", standalone_mode=False)
        if code:  # so click hands over a `typer.Exit`, such as after Ctrl-C
            raise typer.Exit(code)

    type_in("data", "synthesize", "--out", data, "--size", str(size))
    from fer_tune.search.cluster.ray_session import ray_session

    with ray_session():
        searched = ("--backbone", "cnn_simpler", "--backbone", "cnn_separable")
        budget = ("--trials", str(trials), "--epochs", str(epochs))
        type_in("search", "--data", data, *searched, *budget, "--storage", runs, "--name", "demo")
        type_in("refit", run, "--top", "2", "--seeds", "3")
    type_in("test", run, "--no-tta")
    type_in("report", run)
