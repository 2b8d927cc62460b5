"""What the figures of a run do not show, in words."""

from __future__ import annotations

from analysis.report.telling.findings import Standing, overtaking
from analysis.run import RunRecord
from analysis.trials.pareto import MEANINGS
from analysis.words import listed, mean_sd, unit
from fer_tune.amounts import amount
from fer_tune.run_folder import RefitResult

FEW_GROUPS = 10
"""Groups of which an interval is told to be wide: Student's t with up to 9 degrees of freedom is 15 % wider or more."""


def limits(run: RunRecord, stand: Standing) -> list[str]:
    """Return what the figures do not show, so that nobody has to find out."""
    found = []
    if stand.test is not None:
        data = run.settings.dataset.name
        others = [each.tested_on for each in run.transfers]
        told = f"{listed(others)} alone tell" + ("s" if len(others) == 1 else "") if others else "nothing here tells"
        found.append(f"The interval is for images like {data}'s; {told} how images of another origin fare.")
        if stand.test.views or stand.test.ensemble:
            found.append(
                "The answer is that of single models and the image alone, as was fixed before the test; ensembles and "
                "several views are further readings of the same images, and none was chosen for its figure."
            )
        if 1 < stand.test.groups_sampled < FEW_GROUPS:
            found.append(
                f"The held-out images are of {stand.test.groups_sampled} groups (people, characters, videos): so few "
                "tell little about others, whatever the number of images, and the intervals are as wide as that makes "
                "them."
            )
        reads = len(run.openings)
        if reads > 1:
            found.append(
                f"The held-out split was read {reads} times in this run, so the later figures are no longer those of a "
                "split that nothing had read."
            )
        rival = overtaking(stand)
        if rival is not None:
            found.append(
                f"The refits have changed since the test: {rival.config.config_id} now has the best mean "
                f"{run.aim.meaning}, {mean_sd(rival.values, run.aim)} {unit(run.aim)}. The figure is that of the "
                "configuration chosen before the test."
            )
    else:
        unread = "has not been read" if not run.openings else "was read, and what that gave is not in the run"
        found.append(f"The held-out split {unread}: every figure is of images that played a part in choosing.")
    if run.ranked:
        found.append(
            "Figures on validation are those of the best epoch, which was chosen on the same images, and so flatter "
            "a little; they serve to choose, not to report."
        )
    refitted = {refit.config.origin for refit in stand.refits}
    left = [entry.published.name for entry in run.published if entry.published.name not in refitted]
    if stand.refits and left:
        found.append(
            f"Not refitted, and so not compared on the held-out split: {', '.join(left)}; "
            f"`fer-tune refit {run.quoted} --published` does."
        )
    if stand.test is not None and stand.test.trained_on == "train+val":
        found.append(
            "The tested models were trained on train and validation together, so nothing on validation is known "
            "of them; they were chosen by that of models trained on train alone."
        )
    split = [row for row in run.rows if (row["parts"] or 1) > 1]
    if split:
        most = max(row["parts"] for row in split)
        found.append(
            f"{amount(len(split), 'trial')} did not fit into memory with the whole batch and had it in up to {most} "
            "parts: the same step, but for batch norm, whose statistics are those of a part."
        )
    failed = [result for refit in (*stand.refits, *run.finals) for result in refit.failed]
    if failed:
        words = f"{amount(len(failed), 'refit')} failed, also when tried again, and are missing from the means"
        found.append(f"{words}: {_names(failed)}.")
    diverged = [result for refit in stand.refits for result in refit.completed if result.error]
    if diverged:
        words = f"{amount(len(diverged), 'refit')} diverged and count with what they had reached"
        found.append(f"{words}: {_names(diverged)}.")
    if any(entry.trial is not None for entry in run.published):
        found.append(
            "A published configuration ran here with this run's data, epochs and training code, and where its paper "
            "leaves a setting open, ours fills it: this does not rank the published systems as a whole."
        )
    if any(entry.published.reported for entry in run.published):
        found.append(
            "A paper's reported figure is not like for like: papers differ in splits, duplicates and budget, and many "
            "keep the epoch that did best on the test split."
        )
    if len(run.settings.objectives) > 1:
        costs = MEANINGS[run.settings.objectives[1]]
        chosen = f"what is refitted and tested was chosen by {run.aim.meaning} alone"
        found.append(f"The search was also to keep the {costs} low; {chosen}.")
    if run.settings.trials < 30:
        trials = amount(run.settings.trials, "trial")
        found.append(f"With {trials} per backbone the space is explored thinly; better settings may exist.")
    return found


def _names(results: list[RefitResult]) -> str:
    return ", ".join(f"{result.config_id} seed {result.seed}" for result in results)
