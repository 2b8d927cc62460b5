"""Plan the last training, on train and validation together: of what is to be tested, for an epoch fixed in advance."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime

from analysis.refits.selection import select_candidates
from analysis.run import RunRecord
from fer_tune.amounts import amount
from fer_tune.errors import UserError
from fer_tune.run_folder import FinalConfig, FinalPlan


def plan_final(run: RunRecord, epochs: int | None = None, published: bool | None = None) -> FinalPlan:
    """Return what to train on train and val together, going on from the plan that ``run`` has, if any.

    These are the winner by validation and what it is compared with, with the same seeds.  No image is left to choose
    an epoch by, so each configuration is trained for the median of the best epochs that its seeds had on train, with
    its schedule laid out for the epochs of the refits, as it was there; or, with longer schedules, for the same share
    of theirs.

    Args:
        run: its refits have ended.
        epochs: that schedules are laid out for; None is as planned before, or as in the refits.
        published: whether what the winner is compared with is trained too; None is as planned before, or yes.

    Raises:
        UserError: no winner can be chosen yet, or ``epochs`` are not those that were planned before.
    """
    plan = run.folder.refit_plan()
    before = run.final_plan if run.folder.final_file.is_file() else None  # one that was removed is made anew
    if epochs is not None and epochs < 1:
        raise UserError(f"--epochs: must be at least 1, but it is {epochs}")
    if before is not None and epochs is not None and epochs != before.epochs:
        raise UserError(
            f"--epochs: the models on train and val of this run have schedules of {amount(before.epochs, 'epoch')}, "
            f"and {epochs} would not compare; leave it out, or remove {run.folder.final_file} and the folders "
            "train_val to begin again"
        )
    longest = before.epochs if before is not None else epochs or plan.epochs
    if published is None:
        published = before is None or before.published
    chosen = {} if before is None else {config.config_id: config for config in before.configs}
    for candidate in select_candidates(run):
        config_id = candidate.refit.config.config_id
        if config_id not in chosen and (published or candidate.role == "winner"):
            best = statistics.median(result.best_epoch for result in candidate.refit.completed)
            stretched = (
                1 if candidate.refit.config.epochs else longest / plan.epochs
            )  # of its own epochs it has as many
            chosen[config_id] = FinalConfig(config_id=config_id, stop_epoch=max(1, math.ceil(best * stretched)))
    return FinalPlan(
        created=datetime.now(UTC).isoformat(timespec="seconds") if before is None else before.created,
        seeds=plan.seeds,
        epochs=longest,
        published=published,
        configs=list(chosen.values()),
    )
