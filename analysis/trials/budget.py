"""What early stopping saved of a search, and what it may have cost."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

from analysis.run import RunRecord
from analysis.statistics.choosing.luck import best_against_best
from analysis.trials.early_judgement import agreement_sentences, scheduler_words
from analysis.words import apart, duration, size
from fer_tune.amounts import amount


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


def epochs_of(run: RunRecord, row: dict[str, Any]) -> int:
    """Return the most epochs that a trial had: a resume may give later ones more than the search began with."""
    return int(row["config"].get("epochs", run.settings.epochs))


def savings(run: RunRecord) -> Savings:
    """Return what early stopping saved.  A trial's own ``early_stopping`` ends it as completed and does not count."""
    stopped = [row for row in run.rows if row["status"] == "stopped"]
    completed = [row for row in run.rows if row["status"] == "completed"]
    spent = sum(row["epochs"] for row in (*stopped, *completed))
    spared = [epochs_of(run, row) - row["epochs"] for row in stopped]
    pace = [(row["seconds"] or 0.0) / row["epochs"] if row["epochs"] else 0.0 for row in stopped]
    seconds = sum(map(operator.mul, pace, spared))
    return Savings(len(stopped), len(stopped) + len(completed), spent, spent + sum(spared), seconds)


def regret_sentence(run: RunRecord) -> str:
    """Return whether trials that early stopping ended might have won, from those refitted to the end with some seeds.

    Empty without such refits, or where no configuration has two seeds: then there is no interval.
    """
    status = {row["trial_id"]: row["status"] for row in run.rows}
    done = [refit for refit in run.refits if refit.values and refit.config.epochs is None]
    cut = [refit for refit in done if status.get(refit.config.trial_id) == "stopped"]
    whole = [refit for refit in done if status.get(refit.config.trial_id) == "completed"]
    aim = run.aim
    ended, ran = ([[aim.key(value) for value in refit.values] for refit in group] for group in (cut, whole))
    found = best_against_best(ended, ran)
    if found is None:
        return ""
    number = f"{amount(len(cut), 'configuration')} that early stopping had ended"
    begin = f"Refitted to the end, the best of {number}"
    rival = "the best that had run to the end in the search"
    bounds = f"{apart(found.low, found.high, aim)} {'points' if aim.share else 'nats'}"
    interval = f"95 % interval of the difference {bounds}"
    gap = f"{size(found.estimate, aim)} of {aim.meaning}"
    if found.low > 0:
        return f"{begin} is {gap} better than {rival} ({interval}): so much early stopping would have cost."
    if found.high < 0:
        return f"{begin} stays {gap} behind {rival} ({interval}): early stopping cost nothing."
    return f"{begin} is not shown to be better or worse than {rival} ({interval})."


def savings_sentences(run: RunRecord) -> list[str]:
    """Return in words what early stopping saved, and how far its early judgement can be trusted."""
    saved = savings(run)
    if run.settings.scheduler == "none":
        never = (
            "The search was asked not to stop poor trials early, so nothing was to be saved and nothing was lost by it."
        )
        return [never] if saved.ended else []
    if not saved.stopped:
        return ["No trial was stopped early."] if saved.ended else []
    lines = [
        f"Early stopping ended {saved.stopped} of {saved.ended} trials and saved {100 * saved.share:.0f} % of the "
        f"epochs ({saved.epochs:,} trained instead of {saved.epochs_without:,}), about "
        f"{duration(saved.seconds_saved)} of training.",
        f"It was {scheduler_words(run.settings)}.",
    ]
    lines += agreement_sentences(run)
    if regret := regret_sentence(run):
        lines.append(regret)
    elif run.refits:
        command = f"fer-tune refit {run.quoted} --stopped 3"
        lines.append(
            f"Whether a stopped trial might have won is not known; `{command}` would tell, with two seeds or more."
        )
    return lines
