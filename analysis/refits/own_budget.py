"""Published configurations for as many epochs as their papers prescribe, beside those of the search.

A configuration that was picked for 50 epochs and gets 6 is not what its paper trained.  At the search's budget it says
what searching gains over picking by hand for the same compute; at its own it says how good it is.  The second costs
more, so it is asked for, and told what it takes before.
"""

from __future__ import annotations

from dataclasses import dataclass

from analysis.run import PublishedTrial, RunRecord
from analysis.words import duration
from fer_tune.amounts import amount
from fer_tune.run_folder import RefitConfig, RefitPlan


def prescribed(entry: PublishedTrial) -> int | None:
    """Return the epochs that a paper prescribes for a configuration of its own; None where it names none."""
    found = entry.published.config.get("epochs")
    return None if found is None else int(found)


def at_own_budget(run: RunRecord, plan: RefitPlan) -> list[RefitConfig]:
    """Return the published configurations of ``plan`` whose papers prescribe other epochs, to be trained for those."""
    found = []
    for entry in run.published:
        epochs = prescribed(entry)
        same = same_budget(plan, entry)
        if same is not None and epochs is not None and epochs != plan.epochs:
            name = f"{same.config_id}_{epochs}_epochs"
            found.append(
                same.model_copy(
                    update={"config_id": name, "origin": entry.published.name, "search_value": None, "epochs": epochs}
                )
            )
    return found


def same_budget(plan: RefitPlan, entry: PublishedTrial) -> RefitConfig | None:
    """Return a published configuration in ``plan`` as it is trained for the epochs of the others, if it is there."""
    for config in plan.configs:
        if config.epochs is None and _is_of(config, entry):
            return config
    return None


def _is_of(config: RefitConfig, entry: PublishedTrial) -> bool:
    by_trial = entry.trial is not None and config.trial_id == entry.trial["trial_id"]
    return by_trial or (config.origin == entry.published.name and config.backbone == entry.backbone)


@dataclass(frozen=True)
class Price:
    """What training the published configurations for their own epochs takes besides."""

    configs: list[RefitConfig]
    refits: int
    epochs: int  # of all of them together
    seconds: float | None  # one after the other, at the pace of their trials; None where that is not known

    def __str__(self) -> str:
        each = ", ".join(f"{config.origin} {config.epochs}" for config in self.configs)
        took = "" if self.seconds is None else f", about {duration(self.seconds)} one after the other"
        return f"{each}: {amount(self.refits, 'refit')}, {amount(self.epochs, 'epoch')}{took}"


def price(run: RunRecord, plan: RefitPlan) -> Price | None:
    """Return what the own budgets take that ``plan`` does not have yet; None where there are none."""
    planned = {config.config_id for config in plan.configs}
    configs = [config for config in at_own_budget(run, plan) if config.config_id not in planned]
    if not configs:
        return None
    pace = {row["trial_id"]: row["epoch_seconds"] for row in run.rows}
    paces = [pace.get(config.trial_id) for config in configs]
    seeds = len(plan.seeds)
    known = [each * (config.epochs or 0) for config, each in zip(configs, paces, strict=True) if each]
    return Price(
        configs,
        seeds * len(configs),
        seeds * sum(config.epochs or 0 for config in configs),
        seeds * sum(known) if len(known) == len(configs) else None,
    )
