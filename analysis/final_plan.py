"""Plan the last training, on train and validation together: of what is to be tested, for an epoch fixed in advance."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime

from analysis.run import Run
from analysis.selection import select_candidates
from fer_tune.run_folder import FinalConfig, FinalPlan


def plan_final(run: Run) -> FinalPlan:
    """Return what to train on train and val together, going on from the plan that ``run`` has, if any.

    These are the winner by validation and what it is compared with, with the same seeds.  No image is left to choose
    an epoch by, so each configuration is trained for the median of the best epochs that its seeds had on train, with
    its schedule laid out for the epochs of the refits, as it was there.

    Raises:
        UserError: no winner can be chosen yet.
    """
    plan, before = run.folder.refit_plan(), run.final_plan
    chosen = {} if before is None else {config.config_id: config for config in before.configs}
    for candidate in select_candidates(run):
        config_id = candidate.refit.config.config_id
        if config_id not in chosen:
            epochs = [result.best_epoch for result in candidate.refit.completed]
            chosen[config_id] = FinalConfig(
                config_id=config_id, stop_epoch=max(1, math.ceil(statistics.median(epochs)))
            )
    return FinalPlan(
        created=datetime.now(UTC).isoformat(timespec="seconds") if before is None else before.created,
        seeds=plan.seeds,
        epochs=plan.epochs,
        configs=list(chosen.values()),
    )
