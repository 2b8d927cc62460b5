"""How far a scheduler's early judgement can be trusted: what the epochs at which it judges tell of a trial's end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.run import RunRecord
from analysis.words import listed, nth
from fer_tune.run_folder import SearchSettings

FEWEST = 5
"""Trials of a backbone that must have run to the end before anything is said; more than the median rule needs."""


@dataclass(frozen=True)
class RankAgreement:
    """How well the accuracy after some epochs ranks the trials that ran to the end, as their last one does."""

    epoch: int
    trials: int  # that ran to the end, of all backbones with at least `FEWEST` such trials
    spearman: float  # rank correlation within a backbone; the mean over backbones, weighted by their trials
    best: int  # of those trials, the share of each backbone that the scheduler means to keep, by their end
    lost: int  # of the best, those that its rule would have ended at this epoch


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
    """Return for each of `judged_epochs` how well it foretells the end; empty with fewer than `FEWEST` trials.

    Only trials that ran to the end tell, and these were let go on because they were good early: so this flatters early
    stopping.  Which bracket of ASHA a trial was in is not in the tables: all count at each epoch.
    """
    settings = run.settings
    whole = {row["trial_id"] for row in run.rows if row["status"] == "completed" and row["epochs"] == settings.epochs}
    groups = [_Backbone(own, whole, settings) for _, own in run.epochs.groupby("backbone", sort=False)]
    groups = [group for group in groups if len(group.last) >= FEWEST]
    if not groups:
        return []
    trials = sum(len(group.last) for group in groups)
    found = []
    for epoch in judged_epochs(settings):
        spearman = sum(len(group.last) * group.spearman(epoch) for group in groups) / trials
        best = sum(len(group.best) for group in groups)
        lost = sum(group.lost(epoch) for group in groups)
        found.append(RankAgreement(epoch, trials, spearman, best, lost))
    return found


class _Backbone:
    """What one backbone's trials are judged by; schedulers compare within a backbone only."""

    def __init__(self, epochs: pd.DataFrame, whole: set[str], settings: SearchSettings) -> None:
        table = epochs.pivot_table(index="trial_id", columns="epoch", values=settings.aim.column)
        table = table.map(settings.aim.signed)  # more is better
        self._values = table.reindex(columns=range(1, settings.epochs + 1))  # (trials, epochs), NaN where none was
        self._settings = settings
        ended = self._values[self._values.index.isin(whole)]
        self._best_by = ended.cummax(axis=1).ffill(axis=1)  # of the trials that ran to the end
        self.last = self._best_by[settings.epochs]
        share = 2 if settings.scheduler == "median" else settings.reduction_factor
        self._kept = max(1, len(self.last) // share)
        self.best = set(self.last.nlargest(self._kept).index)

    def spearman(self, epoch: int) -> float:
        if len(self.last) < 2:
            return 0.0
        with np.errstate(invalid="ignore"):  # of equal values: no correlation is known
            found = np.corrcoef(self._best_by[epoch].rank(), self.last.rank())[0, 1]
        return float(found) if np.isfinite(found) else 0.0

    def lost(self, epoch: int) -> int:
        early = self._best_by[epoch]
        if self._settings.scheduler != "median":
            return len(self.best - set(early.nlargest(self._kept).index))
        reached = self._values.loc[:, epoch:].notna().any(axis=1)  # stopped trials are compared with as well
        means = self._values.loc[reached, self._settings.grace_period : epoch].mean(axis=1)
        others, names = means.to_numpy(), list(means.index)
        below = (early[trial] < np.nanmedian(np.delete(others, names.index(trial))) for trial in self.best)
        return sum(map(bool, below))


def agreement_sentences(run: RunRecord) -> list[str]:
    """Return `rank_agreement` in words, as the search's scheduler judges; empty where nothing is known."""
    settings, rows = run.settings, rank_agreement(run)
    if not rows:
        return []
    trials = f"the {rows[0].trials} trials that ran to the end"
    if len(settings.backbones) > 1:
        trials += f" (of backbones with {FEWEST} of them or more)"
    flatters = "These survived early stopping, so this flatters it."
    if settings.scheduler == "median":
        return [f"{_median_sentence(trials, rows)} {flatters}"]
    lines = [
        f"After {row.epoch} epoch{'' if row.epoch == 1 else 's'}, {trials} were ranked as at their end with a rank "
        f"correlation of {row.spearman:.2f}; {row.lost} of the {row.best} that ended in the best "
        f"1/{settings.reduction_factor} of their backbone were not in it then. {flatters}"
        for row in rows
    ]
    if settings.brackets > 1:
        lines.append(
            f"With {settings.brackets} brackets some trials were not judged before a later one of these epochs; which "
            "is not in the tables, and so all are counted at each."
        )
    return lines


def _median_sentence(trials: str, rows: list[RankAgreement]) -> str:
    """Return one sentence for all epochs: the median rule judges after each."""
    best = f"of the {rows[0].best} that ended in the better half of their backbone"
    worst = max(rows, key=lambda row: row.lost)
    if worst.lost:
        verb = "was" if worst.lost == 1 else "were"
        told = f"{worst.lost} {best} {verb} below the median after epoch {worst.epoch}, the most at any epoch"
        last = max(row.epoch for row in rows if row.lost)
        if last < rows[-1].epoch:
            told += f"; after epoch {last} none was"
    else:
        told = f"none {best} was below the median at any epoch from the {nth(rows[0].epoch)} on"
    shown = list(dict.fromkeys((rows[0], rows[len(rows) // 2])))
    ranks = listed([f"{row.spearman:.2f} after epoch {row.epoch}" for row in shown])
    return f"Judged again with all trials known, {told}. The rank correlation of {trials} with their end was {ranks}."
