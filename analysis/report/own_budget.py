"""What the report tells of published configurations that were trained for the epochs of their papers, and of others."""

from __future__ import annotations

from analysis.refits.own_budget import prescribed, price
from analysis.report.findings import Standing
from analysis.results import Versus
from analysis.run import ConfigRefit, PublishedTrial, RunRecord
from analysis.words import points


def own_budget_of(stand: Standing, entry: PublishedTrial) -> ConfigRefit | None:
    """Return the refit of a published configuration for its paper's epochs, if there is one."""
    for refit in stand.refits:
        config = refit.config
        if config.epochs and (config.origin, config.backbone) == (entry.published.name, entry.backbone):
            return refit
    return None


def own_budgets(run: RunRecord, pairs: list[Versus]) -> str:
    """Return how the winner stands against those that had their papers' epochs, in a sentence; empty without any."""
    own = {refit.config.config_id: refit.config.epochs for refit in run.refits if refit.config.epochs}
    told = []
    for pair in pairs:
        if pair.second in own:
            interval = f"95 % interval {points(pair.low)} to {points(pair.high)}"
            found = f"no difference is shown ({interval} points)"
            if pair.shown:
                more = "more" if pair.difference > 0 else "fewer"
                found = f"the winner has {abs(100 * pair.difference):.1f} points {more} ({interval})"
            told.append(f"Against {pair.second_origin} for the {own[pair.second]} epochs of its paper {found}.")
    return " ".join(told)


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
        f"budget they are compared with what searching finds; `fer-tune refit {run.place} --published-budget` trains "
        f"them for their own too{took}."
    ]
