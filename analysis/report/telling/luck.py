"""What choosing the best of many had promised too much, in words."""

from __future__ import annotations

import numpy as np

from analysis.report.telling.findings import Standing, reached
from analysis.run import RunRecord
from analysis.statistics.choosing.luck import luck_of_choosing
from analysis.statistics.uncertainty.intervals import Interval
from analysis.words import apart, mean_sd, size, unit
from fer_tune.amounts import amount


def luck(run: RunRecord, stand: Standing) -> str:
    """Return what choosing the best of many had promised too much, in words; empty before the refits end."""
    if stand.winner is None or not stand.winner.values:
        return ""
    refit = stand.winner
    searched, aim = refit.config.search_value, run.aim
    if searched is None:
        return ""
    promised = f"In the search this configuration had {reached(searched, aim)} on validation"
    outcome = f"with {amount(len(refit.values), 'new seed')} it has {mean_sd(refit.values, aim)} {unit(aim)}"
    plan = run.refit_plan
    if plan is not None and plan.epochs != run.settings.epochs:
        return f"{promised}; refitted for {amount(plan.epochs, 'epoch')} instead of {run.settings.epochs}, {outcome}."
    found = _estimated(run, stand)
    if found is None:
        return f"{promised}; {outcome}."
    interval = f"95 % interval {apart(found.low, found.high, aim)} {'points' if aim.share else 'nats'}"
    told = f"({interval}; each seed judges what the others chose)"
    if found.low > 0 or found.high < 0:
        gap = f"{size(found.estimate, aim)} too {'much' if found.low > 0 else 'little'}"
        return f"{promised}; {outcome}. Choosing the best of many had promised {gap} {told}."
    return f"{promised}; {outcome}. That choosing the best of many had promised too much is not shown {told}."


def _estimated(run: RunRecord, stand: Standing) -> Interval | None:
    """Return the luck, from the configurations that have every seed; None where the winner has not, or one seed."""
    aim, winner = run.aim, stand.winner
    whole = [refit for refit in stand.refits if refit.config.search_value is not None and not refit.missing]
    whole = [refit for refit in whole if not refit.failed]
    if winner is None or winner.config.config_id not in {refit.config.config_id for refit in whole}:
        return None
    searched = np.array([aim.key(refit.config.search_value) for refit in whole])
    return luck_of_choosing(searched, np.array([[aim.key(value) for value in refit.values] for refit in whole]))
