"""How far a scheduler's early judgement can be trusted: what the epochs at which it judges tell of a trial's end."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.run import RunRecord
from analysis.statistics.choosing.ranks import FEWEST, rank_correlation
from analysis.statistics.uncertainty.intervals import Interval, wilson
from analysis.words import listed, nth
from fer_tune.amounts import amount
from fer_tune.run_folder import RANDOM, SearchSettings

LEAST_KEPT = 5
"""Trials at the top of a backbone, for anything to be said of how many of them its scheduler would have ended."""


@dataclass(frozen=True)
class RankAgreement:
    """How well the values after some epochs rank a backbone's trials as their end does, and what the rule would lose.

    Of trials that were drawn at random and never stopped, and of no others: those that early stopping let go on are the
    ones that were good early, and would flatter it.
    """

    backbone: str
    epoch: int
    trials: int
    spearman: Interval | None  # of the best value by then with the best one of all; None where all are equal
    best: int  # as many of them as the scheduler means to keep, by their end
    lost: Interval | None  # the share of those that its rule would have ended by then; None with few


def judged_epochs(settings: SearchSettings) -> list[int]:
    """Return the epochs after which the search's scheduler may stop a trial; empty for ``none``.

    With several brackets of ASHA these are the rungs of the first, which has those of all others.
    """
    if settings.scheduler == "none":
        return []
    if settings.scheduler == "median":
        return list(range(settings.grace_period, settings.epochs))
    found = []
    epoch = settings.grace_period
    while epoch < settings.epochs:
        found.append(epoch)
        epoch *= settings.reduction_factor
    return found


def scheduler_words(settings: SearchSettings) -> str:
    """Return what was to stop poor trials, in words."""
    epochs = judged_epochs(settings)
    if settings.scheduler == "none":
        return "none: every trial was to run to its end"
    if not epochs:
        return "none: no trial could be stopped before its last epoch"
    if settings.scheduler == "median":
        return (
            f"the median rule, at each epoch from the {nth(epochs[0])} on: a trial ends whose best "
            f"{settings.aim.meaning} is worse than the median of the means of the others of its backbone"
        )
    after = f"after {listed([str(epoch) for epoch in epochs])} epoch{'' if epochs == [1] else 's'}"
    words = f"ASHA, {after}: about the best 1/{settings.reduction_factor} of a backbone's trials go on"
    if settings.brackets > 1:
        words += f"; {settings.brackets} brackets, the later of which begin to judge at a later one of these epochs"
    return words


def rank_agreement(run: RunRecord) -> list[RankAgreement]:
    """Return for each backbone and each of `judged_epochs` how well it foretells the end.

    Empty for a backbone with fewer than `FEWEST` trials that were drawn at random (``--random-share``) and ran to the
    end.  The rule judges these among themselves.  With several brackets the epochs are those of the first.
    """
    settings = run.settings
    whole = {row["trial_id"] for row in run.rows if row["origin"] == RANDOM and row["status"] == "completed"}
    found = []
    for name, own in run.epochs[run.epochs["trial_id"].isin(whole)].groupby("backbone", sort=False):
        one = _Backbone(own, settings)
        if one.trials >= FEWEST:
            found += [one.agreement(str(name), epoch) for epoch in judged_epochs(settings)]
    return found


class _Backbone:
    """The random trials of one backbone; schedulers compare within a backbone only."""

    def __init__(self, epochs: pd.DataFrame, settings: SearchSettings) -> None:
        table = epochs.pivot_table(index="trial_id", columns="epoch", values=settings.aim.column)
        table = table.map(settings.aim.signed).reindex(columns=range(1, settings.epochs + 1))  # more is better
        self._values = table  # (trials, epochs); NaN where a trial ended itself
        self._settings = settings
        self._best_by = table.cummax(axis=1).ffill(axis=1)
        self._last = self._best_by[settings.epochs]
        self.trials = len(self._last)
        share = 2 if settings.scheduler == "median" else settings.reduction_factor
        self._kept = max(1, self.trials // share)
        self._best = set(self._last.nlargest(self._kept).index)

    def agreement(self, name: str, epoch: int) -> RankAgreement:
        spearman = rank_correlation(self._best_by[epoch].to_numpy(), self._last.to_numpy())
        lost = wilson(self._lost(epoch), self._kept) if self._kept >= LEAST_KEPT else None
        return RankAgreement(name, epoch, self.trials, spearman, self._kept, lost)

    def _lost(self, epoch: int) -> int:
        if self._settings.scheduler != "median":
            return len(self._best - set(self._best_by[epoch].nlargest(self._kept).index))
        ended: set[str] = set()
        for judged in range(self._settings.grace_period, epoch + 1):
            means = self._values.loc[:, self._settings.grace_period : judged].mean(axis=1)
            for trial in self._best - ended:
                if self._best_by.loc[trial, judged] < means.drop(trial).median():
                    ended.add(trial)
        return len(ended)


def agreement_sentences(run: RunRecord) -> list[str]:
    """Return `rank_agreement` in words, a sentence for each backbone; empty where too little is known."""
    found: dict[str, list[RankAgreement]] = {}
    for row in rank_agreement(run):
        found.setdefault(row.backbone, []).append(row)
    median = run.settings.scheduler == "median"
    lines = []
    for backbone, rows in found.items():
        shown = list(dict.fromkeys((rows[0], rows[-1]))) if median else rows
        told = listed([text for row in shown if (text := _correlation(row))])
        if not told:
            continue
        line = (
            f"Of {backbone}, {rows[0].trials} trials were drawn at random and never stopped: their order agrees with "
            f"that at their end with a rank correlation of {told}."
        )
        if median:
            line += _lost(rows[-1], "the better half", "would have been ended by the rule at one of these epochs")
        else:
            for row in rows:
                line += _lost(row, f"the best 1/{run.settings.reduction_factor}", f"were not in it {_after(row.epoch)}")
        lines.append(line)
    return lines


def _correlation(row: RankAgreement) -> str:
    if row.spearman is None:
        return ""
    bounds = f"95 % interval {row.spearman.low:.2f} to {row.spearman.high:.2f}".replace("-", "−")
    return f"{row.spearman.estimate:.2f} {_after(row.epoch)} ({bounds})".replace("-", "−")


def _lost(row: RankAgreement, top: str, words: str) -> str:
    if row.lost is None:
        return ""
    share = f"{100 * row.lost.estimate:.0f} %, 95 % interval {100 * row.lost.low:.0f} to {100 * row.lost.high:.0f}"
    return f" Of the {row.best} that ended in {top} {round(row.lost.estimate * row.best)} {words} ({share})."


def _after(epoch: int) -> str:
    return f"after {amount(epoch, 'epoch')}"
