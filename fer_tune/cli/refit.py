"""`fer-tune refit`: train the best configurations again, with several seeds each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fer_tune.cli.stored import stored

if TYPE_CHECKING:
    from rich.console import Console

    from analysis import Run
    from analysis.refits.training import RefitTask
    from fer_tune.run_folder import FinalPlan, RefitPlan

RUN = typer.Argument(..., help="The run's folder, as `fer-tune search` made it, or its URI.", metavar="RUN")
DATA = typer.Option(None, "--data", help="Where the prepared dataset is now, if it was moved.", metavar="DIR")


@stored
def command(
    run: Path = RUN,
    top: int | None = typer.Option(None, "--top", help="Configurations to refit: the best by validation. (default: 3)"),
    seeds: int | None = typer.Option(None, "--seeds", help="Seeds of each configuration. (default: 5)"),
    epochs: int | None = typer.Option(
        None, "--epochs", help="Epochs of each refit. (default: as in the search, or as on train)"
    ),
    published: bool | None = typer.Option(
        None,
        "--published/--no-published",
        help="Refit the run's published configurations beside them. (default: yes, or as begun)",
        show_default=False,
    ),
    stopped: int = typer.Option(
        0, "--stopped", min=0, help="Refit this many trials that early stopping ended too: might one have won?"
    ),
    on: str = typer.Option(
        "train",
        "--on",
        help="train, or train+val: once all are refitted, train the winner again on both, for an epoch fixed before.",
    ),
    cpus_per_trial: float | None = typer.Option(
        None, "--cpus-per-trial", help="CPUs of each refit. (default: as in the search)"
    ),
    gpus_per_trial: float | None = typer.Option(
        None, "--gpus-per-trial", help="GPUs of each refit, such as 0.5. (default: as in the search)"
    ),
    node_label: list[str] | None = typer.Option(
        None,
        "--node-label",
        metavar="KEY=VALUE",
        help="Train on the cluster's nodes with this label only; repeat it for several. (default: as in the search)",
    ),
    data: Path | None = DATA,
) -> None:
    """Train the best configurations of RUN again, each with several seeds; goes on where it was stopped."""
    from rich.console import Console

    from analysis import load_run
    from analysis.heldout.opening import open_dataset
    from analysis.report.console import refit_table
    from analysis.run.cards import keep_card
    from fer_tune.errors import UserError
    from fer_tune.search.cluster.node_labels import parse_labels

    if on not in ("train", "train+val"):
        raise UserError(f"--on {on}: train or train+val")
    console = Console(soft_wrap=True)
    loaded = load_run(run)
    if on == "train+val":
        given = {"--top": top, "--seeds": seeds, "--stopped": stopped or None}
        if wrong := [name for name, value in given.items() if value is not None]:
            raise UserError(f"--on train+val trains what is chosen already; leave out {', '.join(wrong)}")
        plan, tasks, total = _final(loaded, epochs, published)
    else:
        plan, tasks, total = _first(loaded, top, seeds, epochs, published, stopped)
    settings = loaded.settings
    cpus = settings.cpus_per_trial if cpus_per_trial is None else cpus_per_trial
    gpus = settings.gpus_per_trial if gpus_per_trial is None else gpus_per_trial
    if cpus <= 0 or gpus < 0:
        raise UserError(f"--cpus-per-trial must be above 0 and --gpus-per-trial at least 0, not {cpus:g} and {gpus:g}")
    labels = settings.node_labels if node_label is None else parse_labels(node_label)
    dataset = open_dataset(loaded, data)
    keep_card(loaded, dataset)
    words = "on train and val together" if on == "train+val" else f"{plan.epochs} epochs each"
    console.print(
        f"{len(plan.configs)} configurations × {len(plan.seeds)} seeds, {words}: {total - len(tasks)} of {total} done",
        highlight=False,
    )
    if tasks:
        again = f"fer-tune refit {run}{_option(on)}"
        _train(loaded, plan, tasks, dataset.location, cpus, gpus, labels, console, again)
    console.print(refit_table(loaded.refits))
    refits = loaded.finals if on == "train+val" else loaded.refits
    failed = [result for refit in refits for result in refit.failed]
    for result in failed:
        place = loaded.folder.refit_seed(result.config_id, result.seed, result.trained_on)
        console.print(f"failed: {result.config_id} seed {result.seed}: {result.error}; see {place / 'error.txt'}")
    console.print(f"next: fer-tune {f'refit {run}{_option(on)}' if failed else f'test {run}'}", highlight=False)
    if failed:
        raise typer.Exit(1)


def _option(on: str) -> str:
    return "" if on == "train" else f" --on {on}"


def _first(
    run: Run, top: int | None, seeds: int | None, epochs: int | None, published: bool | None, stopped: int
) -> tuple[RefitPlan | FinalPlan, list[RefitTask], int]:
    from analysis.refits.plan import plan_refits
    from analysis.refits.training import pending_tasks

    plan = plan_refits(run, top=top, seeds=seeds, epochs=epochs, published=published, stopped=stopped)
    return plan, pending_tasks(run, plan), len(plan.configs) * len(plan.seeds)


def _final(run: Run, epochs: int | None, published: bool | None) -> tuple[RefitPlan | FinalPlan, list[RefitTask], int]:
    from analysis.refits.final_plan import plan_final
    from analysis.refits.training import pending_final_tasks

    plan = plan_final(run, epochs, published)
    return plan, pending_final_tasks(run, plan), len(plan.configs) * len(plan.seeds)


def _train(
    run: Run,
    plan: RefitPlan | FinalPlan,
    tasks: list[RefitTask],
    data: str,
    cpus: float,
    gpus: float,
    labels: dict[str, str],
    console: Console,
    again: str,
) -> None:
    """Write the plan and train ``tasks`` through Ray, each recorded as it ends; an interrupt says how to go on."""
    import signal
    from contextlib import closing

    from analysis.recording.record import record_refit
    from analysis.refits.training import RayPool, run_refits
    from analysis.report.console import RefitProgress
    from fer_tune.run_folder import RefitPlan, write_json
    from fer_tune.search.cluster.hardware import check_size, lacking
    from fer_tune.search.cluster.ray_session import ray_session
    from fer_tune.search.cluster.shared_folder import check_shared
    from fer_tune.tracking.session import Session

    file = run.folder.refit_file if isinstance(plan, RefitPlan) else run.folder.final_file
    before = signal.getsignal(signal.SIGTERM)
    try:
        with ray_session() as joined, closing(Session(run.folder.path, run.settings.wandb)) as recording:
            # `ray job stop` ends it as Ctrl-C does; set here, since Ray's start sets a handler that prints a stack
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            if labels and not joined:
                check_size(cpus, gpus, 1, labels)
            if joined and (missing := lacking(cpus, gpus, 1, labels)):
                console.print(f"waiting for nodes: {missing}", highlight=False)
            check_shared(run.folder, labels)
            pool = RayPool(data, cpus, gpus, labels=labels)
            write_json(plan, file)
            with RefitProgress(console, tasks) as progress, closing(run_refits(tasks, pool)) as endings:
                for ending in endings:
                    progress.update(ending)
                    if ending is not None and ending.result is not None:
                        record_refit(run, ending.task, ending.result, recording)
    except KeyboardInterrupt:
        console.print(f"stopped; what is finished is kept, go on with: {again}", highlight=False)
        raise typer.Exit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
