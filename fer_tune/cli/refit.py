"""`fer-tune refit`: train the best configurations again, with several seeds each."""

from __future__ import annotations

from pathlib import Path

import typer

RUN = typer.Argument(..., help="The run's folder, as `fer-tune search` made it.", metavar="RUN")
DATA = typer.Option(None, "--data", help="Where the prepared dataset is now, if it was moved.", metavar="DIR")


def command(
    run: Path = RUN,
    top: int | None = typer.Option(None, "--top", help="Configurations to refit: the best by validation. [default: 3]"),
    seeds: int | None = typer.Option(None, "--seeds", help="Seeds of each configuration. [default: 5]"),
    epochs: int | None = typer.Option(None, "--epochs", help="Epochs of each refit. [default: as in the search]"),
    published: bool = typer.Option(False, "--published", help="Refit the run's published configurations as well."),
    cpus_per_trial: float | None = typer.Option(
        None, "--cpus-per-trial", help="CPUs of each refit. [default: as in the search]"
    ),
    gpus_per_trial: float | None = typer.Option(
        None, "--gpus-per-trial", help="GPUs of each refit, such as 0.5. [default: as in the search]"
    ),
    data: Path | None = DATA,
) -> None:
    """Train the best configurations of RUN again, each with several seeds; goes on where it was stopped."""
    import signal
    from contextlib import closing

    from rich.console import Console

    from analysis import load_run
    from analysis.console import RefitProgress, refit_table
    from analysis.heldout import open_dataset
    from analysis.record import record_refit
    from analysis.refit import RayPool, pending_tasks, run_refits
    from analysis.refit_plan import plan_refits
    from fer_tune.errors import UserError
    from fer_tune.run_folder import write_json

    console = Console(soft_wrap=True)
    loaded = load_run(run)
    plan = plan_refits(loaded, top=top, seeds=seeds, epochs=epochs, published=published)
    settings = loaded.settings
    cpus = settings.cpus_per_trial if cpus_per_trial is None else cpus_per_trial
    gpus = settings.gpus_per_trial if gpus_per_trial is None else gpus_per_trial
    if cpus <= 0 or gpus < 0:
        raise UserError(f"--cpus-per-trial must be above 0 and --gpus-per-trial at least 0, not {cpus:g} and {gpus:g}")
    dataset = open_dataset(loaded, data)
    tasks = pending_tasks(loaded, plan)
    total = len(plan.configs) * len(plan.seeds)
    console.print(
        f"{len(plan.configs)} configurations × {len(plan.seeds)} seeds, {plan.epochs} epochs each: "
        f"{total - len(tasks)} of {total} done",
        highlight=False,
    )
    if tasks:
        from fer_tune.search.ray_session import ray_session

        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # `ray job stop` ends it as Ctrl-C does
        warnings: set[str | None] = set()
        try:
            with ray_session():
                pool = RayPool(dataset.path, cpus, gpus)
                write_json(plan, loaded.folder.refit_file)
                with RefitProgress(console, tasks) as progress, closing(run_refits(tasks, pool)) as endings:
                    for ending in endings:
                        progress.update(ending)
                        if ending is not None and ending.result is not None:
                            warnings.add(record_refit(loaded, ending.task, ending.result))
        except KeyboardInterrupt:
            console.print(f"stopped; what is finished is kept, go on with: fer-tune refit {run}", highlight=False)
            raise typer.Exit(130) from None
        finally:
            signal.signal(signal.SIGTERM, before)
        for warning in filter(None, warnings):
            console.print(warning, markup=False, highlight=False)
    console.print(refit_table(loaded.refits))
    failed = [result for refit in loaded.refits for result in refit.failed]
    for result in failed:
        place = loaded.folder.refit_seed(result.config_id, result.seed)
        console.print(f"failed: {result.config_id} seed {result.seed}: {result.error}; see {place / 'error.txt'}")
    console.print(f"next: fer-tune {'refit' if failed else 'test'} {run}", highlight=False)
    if failed:
        raise typer.Exit(1)
