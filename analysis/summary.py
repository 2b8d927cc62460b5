"""A run in a few lines, for a notebook's cell or a prompt."""

from __future__ import annotations

from html import escape
from typing import get_args

from analysis.run import RunRecord
from analysis.words import full, mean_sd, percent, span, unit
from fer_tune.amounts import amount
from fer_tune.run_folder import Status


def html(run: RunRecord) -> str:
    """Return what the run has found so far as a small HTML table: trials, the best of them, refits, the test."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(text)}</td></tr>"
        for name, text in facts(run)
    )
    return f"<table><caption style='text-align:left'><b>{escape(run.folder.name)}</b></caption>{rows}</table>"


def plain(run: RunRecord) -> str:
    """Return the same as lines of text, for a prompt or a log."""
    own = facts(run)
    width = max(len(name) for name, _ in own)
    return "\n".join([f"Run {run.folder.name}", *(f"  {name:{width}}  {text}" for name, text in own)])


def facts(run: RunRecord) -> list[tuple[str, str]]:
    """Return the account as (name, text)."""
    settings = run.settings
    status = [row["status"] for row in run.rows]
    ended = ", ".join(f"{status.count(name)} {name.replace('_', ' ')}" for name in get_args(Status) if name in status)
    found = [
        ("dataset", settings.dataset.name),
        ("trials", f"{len(status)} of {settings.total}" + (f": {ended}" if ended else "")),
    ]
    for backbone in settings.backbones:
        best = next((row for row in run.ranked if row["backbone"] == backbone), None)
        if best is not None:
            words = f"{full(best[run.aim.column], run.aim)} on validation, trial {best['trial_id']} ({best['origin']})"
            found.append((f"best {backbone}", words))
    for refit in sorted(run.refits, key=lambda each: -each.key)[:3]:
        found.append(
            (
                f"refitted {refit.config.config_id}",
                f"{mean_sd(refit.values, run.aim)} {unit(run.aim)}, {amount(len(refit.values), 'seed')}",
            )
        )
    if run.tests:
        test = run.tests[0]
        found.append(
            (
                "held-out split",
                f"{percent(test.accuracy.value)} % (95 % interval {span(test.accuracy)}), {test.config_id}",
            )
        )
    found.append(("folder", run.place))
    return found
