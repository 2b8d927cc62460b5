"""What the search spent, and what early stopping saved of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.run import Run


@dataclass(frozen=True)
class Savings:
    """Epochs and seconds that stopped trials did not train for; seconds are reckoned at each trial's own pace."""

    stopped: int  # trials
    ended: int  # trials, stopped or completed
    epochs: int  # trained by those
    epochs_without: int  # that they would have trained to the end
    seconds_saved: float

    @property
    def share(self) -> float:
        """Share of the epochs that was saved, in [0, 1]."""
        return 1 - self.epochs / self.epochs_without if self.epochs_without else 0.0


def savings(run: Run) -> Savings:
    """Return what early stopping saved.  A trial's own ``early_stopping`` ends it as completed and does not count."""
    stopped = [row for row in run.rows if row["status"] == "stopped"]
    completed = [row for row in run.rows if row["status"] == "completed"]
    longest = run.settings.epochs
    spent = sum(row["epochs"] for row in (*stopped, *completed))
    spared = sum(longest - row["epochs"] for row in stopped)
    pace = [(row["seconds"] or 0.0) / row["epochs"] * (longest - row["epochs"]) for row in stopped if row["epochs"]]
    return Savings(len(stopped), len(stopped) + len(completed), spent, spent + spared, sum(pace))


@dataclass(frozen=True)
class RankAgreement:
    """How well the accuracy after some epochs ranks the trials that ran to the end, as their last one does."""

    epoch: int
    trials: int
    spearman: float
    lost: int  # of the final best third, those that would have been cut with only the best third going on


def rank_agreement(run: Run) -> list[RankAgreement]:
    """Return for the epochs at which trials may be stopped how well they foretell the end; empty with under 5 trials.

    Only trials that ran to the end tell, and these were let go on because they were good early: so this flatters early
    stopping.
    """
    settings = run.settings
    whole = {row["trial_id"] for row in run.rows if row["status"] == "completed" and row["epochs"] == settings.epochs}
    epochs = run.epochs[run.epochs["trial_id"].isin(whole)]
    table = epochs.pivot_table(index="trial_id", columns="epoch", values="val_accuracy").cummax(axis=1)
    if len(table) < 5:
        return []
    found = []
    epoch = settings.grace_period
    kept = max(1, len(table) // settings.reduction_factor)
    last = table[table.columns.max()]
    while epoch < settings.epochs:
        early = table[epoch]
        best = set(last.nlargest(kept).index)
        lost = len(best - set(early.nlargest(kept).index))
        found.append(RankAgreement(epoch, len(table), _spearman(early, last), lost))
        epoch *= settings.reduction_factor
    return found


def _spearman(first: pd.Series[float], second: pd.Series[float]) -> float:
    ranks = np.corrcoef(first.rank(), second.rank())
    return float(ranks[0, 1]) if np.isfinite(ranks[0, 1]) else 0.0


def regret_sentence(run: Run) -> str:
    """Return whether trials that early stopping ended might have won, from those refitted to the end; empty without."""
    status = {row["trial_id"]: row["status"] for row in run.rows}
    done = [refit for refit in run.refits if refit.values]
    cut = [refit for refit in done if status.get(refit.config.trial_id) == "stopped"]
    whole = [refit for refit in done if status.get(refit.config.trial_id) == "completed"]
    if not cut or not whole:
        return ""
    best, rival = max(cut, key=lambda each: each.mean), max(whole, key=lambda each: each.mean)
    gap = best.mean - rival.mean
    number = f"{len(cut)} configuration{'' if len(cut) == 1 else 's'} that early stopping had ended"
    points = f"{abs(100 * gap):.1f} points of validation accuracy"
    rival_words = "the best that had run to the end in the search"
    if gap > 0:
        return (
            f"Refitted to the end, the best of {number} is {points} above {rival_words}: so much early stopping would "
            "have cost without a refit."
        )
    return (
        f"Refitted to the end, the best of {number} stays {points} below {rival_words}: no cost of early stopping is "
        "shown."
    )


def savings_sentences(run: Run) -> list[str]:
    """Return in words what early stopping saved, and how far its early judgement can be trusted."""
    saved = savings(run)
    if not saved.stopped:
        return ["No trial was stopped early."] if saved.ended else []
    lines = [
        f"Early stopping ended {saved.stopped} of {saved.ended} trials and saved {100 * saved.share:.0f} % of the "
        f"epochs ({saved.epochs:,} trained instead of {saved.epochs_without:,}), about "
        f"{saved.seconds_saved / 60:.0f} minutes of training."
    ]
    for row in rank_agreement(run):
        lines.append(
            f"After {row.epoch} epoch{'' if row.epoch == 1 else 's'}, the {row.trials} trials that ran to the end were "
            f"ranked as at their end with a rank correlation of {row.spearman:.2f}; {row.lost} of the best "
            f"1/{run.settings.reduction_factor} were not among the best then. These survived early stopping, so this "
            "flatters it."
        )
    if regret := regret_sentence(run):
        lines.append(regret)
    elif run.refits:
        lines.append("Whether a stopped trial might have won is not known; `fer-tune refit --stopped 3` would tell.")
    return lines
