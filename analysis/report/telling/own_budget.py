"""What the report tells of published configurations that were trained for the epochs of their papers, and of others."""

from __future__ import annotations

from analysis.refits.own_budget import prescribed, price
from analysis.report.telling.findings import Standing
from analysis.run import ConfigRefit, PublishedTrial, RunRecord


def own_budget_of(stand: Standing, entry: PublishedTrial) -> ConfigRefit | None:
    """Return the refit of a published configuration for its paper's epochs, if there is one."""
    for refit in stand.refits:
        config = refit.config
        if config.epochs and (config.origin, config.backbone) == (entry.published.name, entry.backbone):
            return refit
    return None


def unlike_budgets(run: RunRecord) -> list[str]:
    """Return which published configurations had other epochs than their papers prescribe, and what cures it."""
    plan = run.refit_plan
    epochs = run.settings.epochs if plan is None else plan.epochs
    done = {config.origin for config in plan.configs if config.epochs} if plan is not None else set()
    unlike = {
        entry.published.name: wanted
        for entry in run.published
        if (wanted := prescribed(entry)) not in (None, epochs) and entry.published.name not in done
    }
    if not unlike:
        return []
    told = ", ".join(f"{name} {wanted}" for name, wanted in unlike.items())
    cost = price(run, plan) if plan is not None else None
    took = f" ({cost})" if cost is not None else ""
    return [
        f"Papers prescribe other epochs than the {epochs} that their configurations had here: {told}. At the same "
        f"budget they are compared with what searching finds; `fer-tune refit {run.quoted} --published-budget` trains "
        f"them for their own too{took}."
    ]
