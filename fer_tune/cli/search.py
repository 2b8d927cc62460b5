"""`fer-tune search`: search the settings of one or more backbones on a prepared dataset."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from fer_tune.errors import UserError

if TYPE_CHECKING:
    from fer_tune.run_folder import RunFolder
    from fer_tune.search.running.engine import Ended

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def command(
    data: Annotated[
        Path, typer.Option(help="A prepared dataset (`fer-tune data prepare`): a folder or a URI such as s3://.")
    ],
    backbone: Annotated[list[str], typer.Option(help="timm name; repeat it for one study each.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials per backbone.")] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Most epochs of one trial.")] = 12,
    time_budget: Annotated[str | None, typer.Option(help="Stop after this time, e.g. 30m or 2h.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    storage: Annotated[Path, typer.Option(help="A folder that every node sees, or an s3:// URI.")] = Path("runs"),
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler, and of every trial's training.")] = 0,
    cpus_per_trial: Annotated[float | None, typer.Option(min=0.1, help="CPUs, and threads, of one worker.")] = None,
    gpus_per_trial: Annotated[float | None, typer.Option(min=0, help="GPUs of one worker, such as 0.25.")] = None,
    workers_per_trial: Annotated[int, typer.Option(min=1, help="Data-parallel workers of one trial.")] = 1,
    node_label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Train on the cluster's nodes with this label only, such as ray.io/accelerator-type=A100 or "
            "kind=in(fast,big); repeat it for several that must all hold.",
        ),
    ] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Most trials side by side; else all that fit.")] = None,
    space: Annotated[list[Path] | None, typer.Option(help="A search-space file instead of the shipped one.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Start trials from this file, or the best weights of this run: a path or a URI; for one backbone of "
            "several NAME=FILE. Published configurations start as published."
        ),
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="val_accuracy; again for one beside it: seconds (per epoch), latency or parameters."),
    ] = None,
    sampler: Annotated[
        str, typer.Option(help="What draws: tpe, gp (Gaussian process), cmaes (CMA-ES), grid or random.")
    ] = "tpe",
    scheduler: Annotated[
        str, typer.Option(help="What stops poor trials: asha, median, or none: every trial runs to its end.")
    ] = "asha",
    grace_period: Annotated[int, typer.Option(min=1, help="Epochs before a trial may be stopped.")] = 2,
    reduction_factor: Annotated[int, typer.Option(min=2, help="ASHA lets one in so many go on at each rung.")] = 3,
    brackets: Annotated[int, typer.Option(min=1, help="Of ASHA; each starts to stop trials later than the last.")] = 1,
    target_accuracy: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="End the search at this validation accuracy, in [0, 1].")
    ] = None,
    warm_start: Annotated[Path | None, typer.Option(help="An earlier run whose best settings are tried first.")] = None,
    warm_start_top: Annotated[int, typer.Option(min=1, help="How many of them per backbone.")] = 3,
    published: Annotated[bool, typer.Option(help="Try the published configurations first.")] = True,
    known_good: Annotated[
        bool,
        typer.Option(help="Try settings that were good elsewhere, where the space names some and the sampler learns."),
    ] = True,
    wandb: Annotated[str, typer.Option(help="auto, online, offline or disabled.")] = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the run folder at the end, and nothing else.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line per event, for programs.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run, and what it would take, from some timed steps.")
    ] = False,
) -> None:
    """Search learning rate, batch size, augmentation, freeze depth and more, per backbone.

    Published configurations are tried first; then Optuna's TPE draws, and ASHA stops the poor ones early.
    """
    budget = None if time_budget is None else _seconds(time_budget)
    from fer_tune.run_folder import Objective, Sampler, Scheduler
    from fer_tune.search.stopping_early.not_offered import NOT_OFFERED

    _one_of("--wandb", wandb, ("auto", "online", "offline", "disabled"))
    _one_of("--sampler", sampler, get_args(Sampler))
    if scheduler in NOT_OFFERED:
        raise UserError(f"--scheduler {scheduler}: there is none: {NOT_OFFERED[scheduler]}")
    _one_of("--scheduler", scheduler, get_args(Scheduler))
    for asked in objective or ():
        _one_of("--objective", asked, get_args(Objective))
    show_as(quiet=quiet, as_json=as_json)
    from fer_tune.search.cluster.node_labels import parse_labels
    from fer_tune.search.options import SearchOptions
    from fer_tune.search.running.engine import search as run_search

    options = SearchOptions(
        data=data,
        backbones=list(dict.fromkeys(backbone)),
        trials=trials,
        epochs=epochs,
        time_budget_seconds=budget,
        name=name,
        storage=storage,
        seed=seed,
        cpus_per_trial=cpus_per_trial,
        gpus_per_trial=gpus_per_trial,
        workers_per_trial=workers_per_trial,
        node_labels=parse_labels(node_label or []),
        concurrent=concurrent,
        spaces=[str(file) for file in space or []],
        weights=list(weights or []),
        objectives=tuple(objective or ("val_accuracy",)),  # type: ignore[arg-type]
        sampler=sampler,  # type: ignore[arg-type]
        scheduler=scheduler,  # type: ignore[arg-type]
        grace_period=grace_period,
        reduction_factor=reduction_factor,
        brackets=brackets,
        target_accuracy=target_accuracy,
        published=published,
        warm_start=warm_start,
        warm_start_top=warm_start_top,
        known_good=known_good,
        wandb=wandb,  # type: ignore[arg-type]
    )
    if dry_run:
        from fer_tune.search.sizing.estimate import estimate
        from fer_tune.search.sizing.report import report

        typer.echo(report(estimate(options)))
        return
    conclude(run_search(options))


def conclude(ended: Ended) -> None:
    """Print the leaderboard and the next command; exit with 130 after an interrupt, 1 when trials failed alike."""
    from fer_tune.search.watching.progress import output

    shown, path = output(), ended.run.place
    if shown == "json":
        facts = {"event": "search", "run": path, "finished": ended.finished, "interrupted": ended.interrupted}
        typer.echo(json.dumps({**facts, "reason": ended.reason}))
    elif shown == "text":
        from fer_tune.cli.leaderboard import print_leaderboard

        print_leaderboard(ended.run)
        _print_front(ended.run)
    if ended.interrupted:
        if shown == "text":
            typer.echo(f"interrupted; nothing finished is lost. Go on with: fer-tune resume {path}")
        raise typer.Exit(130)
    if ended.gave_up:
        typer.echo(f"{ended.reason}. Go on with: fer-tune resume {path}", err=True)
        raise typer.Exit(1)
    if shown == "quiet":
        typer.echo(path)
    elif shown == "text":
        from fer_tune.tracking.sync import sync_hint

        if not ended.finished:
            typer.echo(f"{ended.reason}. Go on with: fer-tune resume {path}")
        if hint := sync_hint(ended.run):
            typer.echo(hint)
        typer.echo(f"run folder: {path}\nnext: fer-tune refit {path}")


def _print_front(run: RunFolder) -> None:
    from analysis.trials.pareto import pareto_table, second_objective

    second = second_objective(run.settings())
    if second and run.trials_file.is_file():
        import pyarrow.parquet as pq
        from rich.console import Console

        Console(highlight=False).print(pareto_table(pq.read_table(run.trials_file).to_pylist(), second))


def show_as(*, quiet: bool, as_json: bool) -> None:
    """Say how progress is shown, to this process and to what Tune brings back in a resumed search."""
    if quiet and as_json:
        raise UserError("--quiet and --json: one of them")
    os.environ["FER_TUNE_OUTPUT"] = "quiet" if quiet else "json" if as_json else "text"


def _one_of(option: str, given: str, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise UserError(f"{option} {given}: one of {', '.join(allowed)}")


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None or float(match[1]) == 0:
        raise UserError(f"--time-budget {text}: a number and a unit, such as 90s, 30m or 2h")
    return float(match[1]) * _UNITS[match[2]]
