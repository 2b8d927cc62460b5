"""Choose what to refit: the best configurations on validation, each with several seeds."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from analysis.refits.own_budget import at_own_budget
from analysis.run import ConfigRefit, RunRecord
from fer_tune.amounts import amount
from fer_tune.config import TrialConfig, trial_config
from fer_tune.errors import UserError
from fer_tune.run_folder import RefitConfig, RefitPlan, TrainedOn

TOP, SEEDS = 3, 5
"""What `fer-tune refit` does when it is told nothing else."""

_FIRST_SEED = 1001  # far from the seeds that trials count up from


def config_id(config: dict[str, Any]) -> str:
    """Name a configuration by its backbone and a hash of its settings, epochs and seed left out."""
    own = {name: value for name, value in config.items() if name not in ("seed", "epochs") and value is not None}
    digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:8]
    return f"{str(config['backbone']).replace('/', '_')}-{digest}"


def plan_refits(
    run: RunRecord,
    *,
    top: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    published: bool | None = None,
    published_budget: bool = False,
    stopped: int = 0,
) -> RefitPlan:
    """Return what to refit in ``run``, going on from the plan it has, if any.

    The best ``top`` configurations by what the search judged by are taken over all backbones; completed and
    early-stopped trials count, and a configuration that was tried twice is taken once.  Seeds are new ones: the search
    chose its winner partly for its lucky seed, and that luck must not come along.

    A plan only grows: what was planned once stays, so that no finished seed can be left out for its result.

    Args:
        run: the run.
        top: configurations to refit; `TOP`, or as planned before.
        seeds: seeds of each; `SEEDS`, or as planned before.
        epochs: epochs of each; the search's, or as planned before.
        published: refit the published configurations of the run too, also those whose trial failed or never ran;
            by default a new plan has them, and one from before stays as it is.
        published_budget: train them for the epochs of their papers too, see `analysis.refits.own_budget`.
        stopped: refit the best so many of the trials that early stopping ended too, to see whether one may have won;
            they compete like the others.

    Raises:
        UserError: no trial has ended, no paper prescribes other epochs, or ``epochs`` differs from what finished
            refits were trained with.
    """
    before = run.refit_plan if run.folder.refit_file.is_file() else None  # one that was removed is made anew
    for name, value in (("--top", top), ("--seeds", seeds), ("--epochs", epochs)):
        if value is not None and value < 1:
            raise UserError(f"{name}: must be at least 1, but it is {value}")
    if not run.ranked:
        raise UserError(
            f"{run.place}: no trial has ended with a value on validation, so there is nothing to refit; "
            f"go on with `fer-tune resume {run.quoted}`"
        )
    if before is not None and epochs is not None and epochs != before.epochs:
        raise UserError(
            f"--epochs: the refits of this run are trained for {amount(before.epochs, 'epoch')}, and {epochs} would "
            f"not compare; leave it out, or remove {run.folder.refit_file.parent} to begin again"
        )
    count = top or (TOP if before is None else 0)
    if published is None:
        published = before is None
    chosen = {} if before is None else {config.config_id: config for config in before.configs}
    wanted = run.ranked[:]
    names = run.published_names
    seen: set[str] = set()
    for row in wanted:
        identity = config_id(row["config"])
        is_published = published and row["origin"] in names
        if identity in seen:
            continue
        if len(seen) >= count and not is_published:
            if row["status"] != "stopped" or stopped <= 0 or identity in chosen:
                continue
            stopped -= 1
        seen.add(identity)
        if identity not in chosen:
            trial_config(row["config"], f"{run.folder.trials_file}: trial {row['trial_id']}")
            chosen[identity] = RefitConfig(
                config_id=identity,
                trial_id=row["trial_id"],
                backbone=row["backbone"],
                origin=row["origin"],
                search_value=row[run.aim.column],
                config={name: value for name, value in row["config"].items() if name not in ("seed", "epochs")},
            )
    for extra in _untried(run) if published else []:
        chosen.setdefault(extra.config_id, extra)
    plan = RefitPlan(
        created=datetime.now(UTC).isoformat(timespec="seconds") if before is None else before.created,
        seeds=_seeds(run, seeds, [] if before is None else before.seeds),
        epochs=before.epochs if before is not None else epochs or run.settings.epochs,
        configs=sorted(chosen.values(), key=lambda config: (-run.aim.key(config.search_value), config.config_id)),
    )
    if published_budget:
        own = at_own_budget(run, plan)
        if not own:
            raise UserError(
                f"--published-budget: no paper prescribes other epochs than the {plan.epochs} of the refits for a "
                "published configuration of this run that is refitted"
            )
        plan.configs += [config for config in own if config.config_id not in chosen]
    return plan


def _untried(run: RunRecord) -> list[RefitConfig]:
    """Return the published configurations whose trial failed or never ran: they are owed a fair chance all the same."""
    usable = {row["trial_id"] for row in run.ranked}
    found = []
    for entry in run.published:
        trial = entry.trial
        if trial is not None and trial["trial_id"] in usable:
            continue
        fixed = run.settings.spaces.get(entry.backbone, {}).get("fixed", {})
        settings = trial["config"] if trial is not None else {**fixed, **entry.published.config}
        config = {name: value for name, value in settings.items() if name not in ("seed", "epochs")}
        config["backbone"] = entry.backbone
        trial_config({**config, "epochs": 1}, f"{run.folder.settings_file}: {entry.published.name}")
        found.append(
            RefitConfig(
                config_id=config_id(config),
                trial_id="" if trial is None else trial["trial_id"],
                backbone=entry.backbone,
                origin=entry.published.name,
                search_value=None,
                config=config,
            )
        )
    return found


def _seeds(run: RunRecord, count: int | None, planned: list[int]) -> list[int]:
    used = {row["config"].get("seed") for row in run.rows}
    seeds, candidate = list(planned), run.settings.seed + _FIRST_SEED
    while len(seeds) < (count or (0 if planned else SEEDS)):
        if candidate not in used and candidate not in seeds:
            seeds.append(candidate)
        candidate += 1
    return seeds


def seed_config(run: RunRecord, refit: ConfigRefit, seed: int, on: TrainedOn = "train") -> TrialConfig:
    """Return the settings that one seed of a refit was trained with."""
    final = run.final_plan if on == "train+val" else None
    epochs = refit.config.epochs or (final or run.folder.refit_plan()).epochs
    values = {**refit.config.config, "backbone": refit.config.backbone, "epochs": epochs, "seed": seed}
    return trial_config(values, f"{run.folder.refit_file}: {refit.config.config_id}")
