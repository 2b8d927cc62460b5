"""Train the best configurations of a run again, with several seeds each."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt
from typing_extensions import Doc

from fer_tune.amounts import amount
from fer_tune.door import Interrupted, door
from fer_tune.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from analysis.refits.training import RefitTask
    from analysis.run import RunRecord
    from fer_tune.run_folder import FinalPlan, RefitPlan


@door
def refit(
    run: RunRecord,
    *,
    top: Annotated[int | None, Doc("Configurations to refit: the best on validation. (default: 3)"), Ge(1)] = None,
    seeds: Annotated[int | None, Doc("Seeds of each configuration. (default: 5)"), Ge(1)] = None,
    epochs: Annotated[
        int | None, Doc("Epochs of each refit. (default: as in the search, or as on train)"), Ge(1)
    ] = None,
    published: Annotated[
        bool | None, Doc("Refit the run's published configurations beside them. (default: yes, or as begun)")
    ] = None,
    published_budget: Annotated[
        bool, Doc("Train published configurations for the epochs of their papers too; what that takes is told before.")
    ] = False,
    stopped: Annotated[
        int, Doc("Refit this many trials that early stopping ended too: might one have won?"), Ge(0)
    ] = 0,
    on: Annotated[
        Literal["train", "train+val"],
        Doc("Once all are refitted, train+val trains the winner again on both, for an epoch fixed before."),
    ] = "train",
    cpus_per_trial: Annotated[float | None, Doc("CPUs of each refit. (default: as in the search)"), Gt(0)] = None,
    gpus_per_trial: Annotated[
        float | None, Doc("GPUs of each refit, such as 0.5. (default: as in the search)"), Ge(0)
    ] = None,
    node_label: Annotated[
        list[str] | None,
        Doc("Train on the cluster's nodes with this label only; repeat it for several. (default: as in the search)"),
    ] = None,
    data: Annotated[str | Path | None, Doc("Where the prepared dataset is now, if it was moved.")] = None,
) -> pd.DataFrame:
    """Train the best configurations of RUN again, each with several seeds; goes on where it was stopped.

    Returns:
        A row per configuration, the best mean first: ``config_id``, ``origin``, ``search`` (what its trial was
        judged by), ``mean`` and ``sd`` over the seeds, shares in [0, 1], ``seeds`` (that ended well), ``failed``.

    Raises:
        UserError: nothing to refit, or it cannot be done as asked.
        Interrupted: Ctrl-C; what has ended is kept, and the next call goes on.
    """
    from analysis.heldout.opening import open_dataset
    from analysis.report.form.console import refit_table
    from analysis.run.cards import keep_card
    from fer_tune.console_table import table_console
    from fer_tune.run_folder import RefitPlan
    from fer_tune.search.cluster.node_labels import parse_labels
    from fer_tune.storage.runs import check_writes, kept

    console = table_console(soft_wrap=True)
    check_writes(run.folder)
    with kept(run.folder):
        if on == "train+val":
            given = {"--top": top, "--seeds": seeds, "--stopped": stopped or None}
            given["--published-budget"] = published_budget or None
            if wrong := [name for name, value in given.items() if value is not None]:
                raise UserError(f"--on train+val trains what is chosen already; leave out {', '.join(wrong)}")
            plan, tasks, total = _final(run, epochs, published)
        else:
            before = run.refit_plan if run.folder.refit_file.is_file() else None
            plan, tasks, total = _first(run, top, seeds, epochs, published, published_budget, stopped)
            _tell_kept(run, before, seeds, published, console)
        settings = run.settings
        cpus = settings.cpus_per_trial if cpus_per_trial is None else cpus_per_trial
        gpus = settings.gpus_per_trial if gpus_per_trial is None else gpus_per_trial
        labels = settings.node_labels if node_label is None else parse_labels(node_label)
        dataset = open_dataset(run, data)
        keep_card(run, dataset)
        words = "on train and val together" if on == "train+val" else f"{amount(plan.epochs, 'epoch')} each"
        console.print(
            f"{amount(len(plan.configs), 'configuration')} × {amount(len(plan.seeds), 'seed')}, {words}: "
            f"{total - len(tasks)} of {total} done",
            highlight=False,
        )
        if isinstance(plan, RefitPlan):
            _tell_fewer(run, plan, top, stopped, console)
            _tell_own_budgets(run, plan, console)
        if tasks:
            _train(run, plan, tasks, dataset.location, cpus, gpus, labels, console, on)
        console.print(refit_table(run.refits, run.aim))
        refits = run.finals if on == "train+val" else run.refits
        for result in (result for refit in refits for result in refit.failed):
            place = run.folder.refit_seed(result.config_id, result.seed, result.trained_on)
            console.print(f"failed: {result.config_id} seed {result.seed}: {result.error}; see {place / 'error.txt'}")
    return _frame(run, on)


def _tell_kept(
    run: RunRecord, before: RefitPlan | None, seeds: int | None, published: bool | None, console: Console
) -> None:
    """Say which options would leave out what was planned ``before``."""
    kept = "planned already, and a plan only grows, so that nothing is left out for its result"
    if before is not None and seeds is not None and seeds < len(before.seeds):
        console.print(f"--seeds {seeds}: {len(before.seeds)} are {kept}", highlight=False)
    if before is not None and published is False:
        there = [config.origin for config in before.configs if config.origin in run.published_names]
        if there:
            console.print(f"--no-published: {', '.join(there)}: {kept}", highlight=False)


def _tell_fewer(run: RunRecord, plan: RefitPlan, top: int | None, stopped: int, console: Console) -> None:
    """Say where there are fewer configurations than were asked for."""
    from analysis.refits.plan import config_id

    planned = {config.trial_id for config in plan.configs}
    if top is not None and top > (there := len({config_id(row["config"]) for row in run.ranked})):
        words = f"--top {top}: all that have ended are refitted: {amount(there, 'different configuration')}"
        console.print(words, highlight=False)
    there = sum(row["status"] == "stopped" and row["trial_id"] in planned for row in run.ranked)
    if stopped > there:
        stopped_ones = amount(there, "configuration")
        words = f"--stopped {stopped}: early stopping ended trials of {stopped_ones}, and no more are refitted"
        console.print(words, highlight=False)


def _tell_own_budgets(run: RunRecord, plan: RefitPlan, console: Console) -> None:
    """Say which configurations have the epochs of their papers, and what that would take for the others."""
    from analysis.refits.own_budget import price

    own = [f"{config.origin} {config.epochs}" for config in plan.configs if config.epochs]
    if own:
        console.print(f"for the epochs of their papers: {', '.join(own)}", highlight=False)
    if cost := price(run, plan):
        words = f"papers prescribe other epochs than these {plan.epochs}; --published-budget trains for those too"
        console.print(f"{words}: {cost}", highlight=False)


def again(place: str, on: str) -> str:
    """Return the command that goes on with the refits of the run at ``place``, a word of a command line."""
    return f"fer-tune refit {place}{'' if on == 'train' else f' --on {on}'}"


def _frame(run: RunRecord, on: str) -> pd.DataFrame:
    import pandas as pd

    from analysis.report.telling.rows import by_mean

    rows = []
    for refit in by_mean(run.finals if on == "train+val" else run.refits):
        values = pd.Series(refit.values, dtype=float)
        rows.append(
            {
                "config_id": refit.config.config_id,
                "origin": refit.config.origin,
                "search": refit.config.search_value,
                "mean": values.mean(),
                "sd": values.std(),
                "seeds": len(values),
                "failed": len(refit.failed),
            }
        )
    return pd.DataFrame(rows)


def _first(
    run: RunRecord,
    top: int | None,
    seeds: int | None,
    epochs: int | None,
    published: bool | None,
    published_budget: bool,
    stopped: int,
) -> tuple[RefitPlan | FinalPlan, list[RefitTask], int]:
    from analysis.refits.plan import plan_refits
    from analysis.refits.training import pending_tasks

    plan = plan_refits(
        run,
        top=top,
        seeds=seeds,
        epochs=epochs,
        published=published,
        published_budget=published_budget,
        stopped=stopped,
    )
    return plan, pending_tasks(run, plan), len(plan.configs) * len(plan.seeds)


def _final(
    run: RunRecord, epochs: int | None, published: bool | None
) -> tuple[RefitPlan | FinalPlan, list[RefitTask], int]:
    from analysis.refits.final_plan import plan_final
    from analysis.refits.training import pending_final_tasks

    plan = plan_final(run, epochs, published)
    return plan, pending_final_tasks(run, plan), len(plan.configs) * len(plan.seeds)


def _train(
    run: RunRecord,
    plan: RefitPlan | FinalPlan,
    tasks: list[RefitTask],
    data: str,
    cpus: float,
    gpus: float,
    labels: dict[str, str],
    console: Console,
    on: str,
) -> None:
    """Write the plan and train ``tasks`` through Ray, each recorded as it ends; an interrupt says how to go on."""
    from analysis.recording.record import record_refit
    from analysis.refits.training import RayPool, run_refits
    from analysis.report.form.console import RefitProgress
    from fer_tune.ending_signals import as_ctrl_c
    from fer_tune.filing.files import write_json
    from fer_tune.run_folder import RefitPlan
    from fer_tune.search.cluster.hardware import check_size, lacking
    from fer_tune.search.cluster.ray_session import ray_session
    from fer_tune.search.cluster.shared_folder import check_shared
    from fer_tune.tracking.session import Session

    file = run.folder.refit_file if isinstance(plan, RefitPlan) else run.folder.final_file
    try:
        with (
            ray_session(gpus=gpus) as joined,
            as_ctrl_c(),  # after Ray's start, which sets a handler of SIGTERM that prints a stack
            closing(Session(run.folder.path, run.settings.wandb)) as recording,
        ):
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
        raise Interrupted(f"stopped; what is finished is kept, go on with: {again(run.quoted, on)}", run) from None
