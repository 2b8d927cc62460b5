"""What a run shows, in words: how far it is, the answer, what was luck, and what the figures do not show."""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis.refits.selection import Selection, select_winner
from analysis.results import Comparison, Estimate, TestResult
from analysis.run import ConfigRefit, RunRecord
from analysis.statistics.intervals import mean_interval
from analysis.trials.pareto import MEANINGS
from analysis.words import count, full, mean_sd, percent, points, span, told, unit
from fer_tune.errors import UserError
from fer_tune.objectives import ACCURACY, Aim
from fer_tune.run_folder import DRAWN, SEARCHED, RefitResult


@dataclass(frozen=True)
class Standing:
    """How far a run is: searched, refitted, tested; and the command that comes next (empty at the end)."""

    test: TestResult | None  # the winner's, of the latest opening
    refits: list[ConfigRefit]
    winner: ConfigRefit | None  # the tested configuration; before the test the one that would be
    next_command: str
    beside: list[TestResult] = field(default_factory=list)  # tested in the same opening
    comparison: Comparison | None = None  # of that opening
    earlier: list[TestResult] = field(default_factory=list)  # of configurations that only an earlier opening tested
    now: Selection | None = None  # among what is refitted now, which may be more than when the winner was tested

    def tested(self, config_id: str) -> TestResult | None:
        """Return the result of a configuration that the latest opening tested."""
        tests = [] if self.test is None else [self.test, *self.beside]
        return next((test for test in tests if test.config_id == config_id), None)


def standing(run: RunRecord) -> Standing:
    """Find out how far ``run`` is."""
    tests = run.tests
    refits = run.refits
    now = None
    step = f"fer-tune refit {run.place}"
    if refits:
        try:
            now = select_winner(run)
            step = f"fer-tune test {run.place}"
            if any(refit.missing for refit in run.finals):
                step = f"fer-tune refit {run.place} --on train+val"
        except UserError:  # refits are missing: the next command is still to refit
            pass
    if not run.ranked or (not refits and any(row["status"] == "running" for row in run.rows)):
        step = f"fer-tune resume {run.place}"
    if not tests:
        return Standing(None, refits, None if now is None else now.winner, step, now=now)
    test, *others = tests
    beside = [other for other in others if other.opening == test.opening]
    comparison = run.comparison
    if comparison is not None and comparison.opening != test.opening:
        comparison = None
    earlier = [other for other in others if other.opening != test.opening]
    winner = next((refit for refit in refits if refit.config.config_id == test.config_id), None)
    return Standing(test, refits, winner, "", beside, comparison, earlier, now)


def answer(run: RunRecord, stand: Standing) -> str:
    """Return the run's answer in one sentence (two where a warning belongs to it), with its interval."""
    data, aim = run.settings.dataset.name, run.aim
    if stand.test is not None:
        test = stand.test
        seeds = f"mean of {len(test.seeds)} seeds" if len(test.seeds) > 1 else "one seed"
        first = ""
        if aim != ACCURACY:
            own = _held_out(test, aim)
            interval = f"95 % interval {told(own.low, aim)} to {told(own.high, aim)}"
            first = f"has {reached(own.value, aim)} ({interval}) and "
        return (
            f"A {_named(run, test)} {first}classifies {percent(test.accuracy.value)} % of the "
            f"{test.images:,} held-out images of {data} correctly (95 % interval {span(test.accuracy)}"
            f"{_of_groups(test)}; {seeds})"
            f"{_against(run, test, stand)}."
        )
    if stand.winner is not None:
        values = stand.winner.values
        bounds = mean_interval(values)
        seeds = "one seed, so no interval"
        if len(values) > 1:
            interval = f"{told(bounds.low, aim)} to {told(bounds.high, aim)}"
            seeds = f"95 % interval over seeds {interval}; mean of {len(values)} seeds"
        return (
            f"A {stand.winner.config.backbone} reaches {reached(bounds.estimate, aim)} on the validation images of "
            f"{data} ({seeds}); the held-out split has not been read yet."
        )
    if run.ranked:
        best = run.ranked[0]
        return (
            f"The best of {len(run.rows)} trials, a {best['backbone']}, reached "
            f"{reached(best[aim.column], aim)} on the validation images of {data}; being the best of many, with one "
            "seed, it flatters itself, and no interval can be given before it is refitted."
        )
    return f"No trial of this search on {data} has ended yet."


def reached(value: float, aim: Aim) -> str:
    """Return a value with its unit and, where it is no accuracy, what it is of."""
    return full(value, aim) if aim == ACCURACY else f"a {aim.meaning.removeprefix('validation ')} of {full(value, aim)}"


def _held_out(test: TestResult, aim: Aim) -> Estimate:
    """Return the estimate on the held-out split of what the run judges by."""
    if aim.column == "val_loss":
        return test.more["log_loss"]
    found: Estimate = getattr(test, aim.column.removeprefix("val_"))
    return found


FEW_GROUPS = 10
"""Groups of which an interval is told to be wide: Student's t with up to 9 degrees of freedom is 15 % wider or more."""


def _of_groups(test: TestResult) -> str:
    """Return what the interval is for, where the split goes by group; empty where images are the sample."""
    if test.groups_sampled > 1:
        return f" for new groups like the {test.groups_sampled:,} of the split"
    return " for new images of the one group in it, as nothing tells how others fare" if test.groups_sampled else ""


def found_as(run: RunRecord, origin: str) -> str:
    """Return where a configuration is from, in words."""
    if origin in DRAWN:
        return SEARCHED
    known = "as published" if origin in run.published_names else "taken over from an earlier search"
    return f"{known} ({origin})"


def _named(run: RunRecord, test: TestResult) -> str:
    """Return ``searched resnet18``, or ``resnet18 as published (qutub-atay-2023/resnet18)``."""
    known = found_as(run, test.origin)
    return f"{known} {test.backbone}" if known == SEARCHED else f"{test.backbone} {known}"


def _against(run: RunRecord, test: TestResult, stand: Standing) -> str:
    """Return how far the winner is from its closest rival on the same images, in words; empty where none was tested."""
    if stand.comparison is None or not stand.comparison.pairs:
        return ""
    own = {refit.config.config_id for refit in stand.refits if refit.config.epochs}  # of another budget
    pairs, by_f1 = [each for each in stand.comparison.pairs if each.second not in own], run.aim.column == "val_macro_f1"
    if not pairs:
        return ""
    pair = min(pairs, key=lambda each: each.macro_f1_difference if by_f1 else each.difference)
    found, low, high, shown = pair.difference, pair.low, pair.high, pair.shown
    if by_f1:
        found, low, high = pair.macro_f1_difference, pair.macro_f1_low, pair.macro_f1_high
        shown = not low <= 0 <= high
    of = "" if run.aim == ACCURACY else " of macro F1" if by_f1 else " of accuracy"
    rival = "the best searched configuration"
    if pair.second_origin in run.published_names:
        rival = f"the {'best ' if len(pairs) > 1 else ''}published configuration, {pair.second_origin},"
    interval = f"95 % interval {points(low)} to {points(high)}"
    if not shown:
        return f"; no difference{of} from {rival} trained here at the same budget is shown ({interval} points)"
    more = "more" if found > 0 else "fewer"
    return f", {abs(100 * found):.1f} points{of} {more} than {rival} trained here at the same budget ({interval})"


def limits(run: RunRecord, stand: Standing) -> list[str]:
    """Return what the figures do not show, so that nobody has to find out."""
    found = []
    if stand.test is not None:
        data = run.settings.dataset.name
        found.append(f"The interval is for images like {data}'s; nothing here tells how images of another origin fare.")
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
        rival = _overtaking(stand)
        if rival is not None:
            found.append(
                f"The refits have changed since the test: {rival.config.config_id} now has the best mean "
                f"{run.aim.meaning}, {mean_sd(rival.values, run.aim)} {unit(run.aim)}. The figure is that of the "
                "configuration chosen before the test."
            )
    else:
        found.append("The held-out split has not been read: every figure is of images that played a part in choosing.")
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
            f"`fer-tune refit {run.place} --published` does."
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
            f"{count(len(split), 'trial')} did not fit into memory with the whole batch and had it in up to {most} "
            "parts: the same step, but for batch norm, whose statistics are those of a part."
        )
    failed = [result for refit in (*stand.refits, *run.finals) for result in refit.failed]
    if failed:
        words = f"{count(len(failed), 'refit')} failed, also when tried again, and are missing from the means"
        found.append(f"{words}: {_names(failed)}.")
    diverged = [result for refit in stand.refits for result in refit.completed if result.error]
    if diverged:
        words = f"{count(len(diverged), 'refit')} diverged and count with what they had reached"
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
        trials = count(run.settings.trials, "trial")
        found.append(f"With {trials} per backbone the space is explored thinly; better settings may exist.")
    return found


def chosen(stand: Standing) -> str:
    """Return how the tested configuration was chosen and whether it still would be, in words; empty before a test."""
    if stand.test is None:
        return ""
    words = stand.test.selection
    rival = _overtaking(stand)
    if rival is None and (stand.now is None or stand.now.words == words):
        return words
    return f"{words}; that was before the test, and {'it still' if rival is None else 'another'} would be chosen now"


def _overtaking(stand: Standing) -> ConfigRefit | None:
    """Return the configuration that would be chosen now in place of the tested one, if another would be."""
    if stand.test is None or stand.now is None or stand.now.winner.config.config_id == stand.test.config_id:
        return None
    return stand.now.winner


def _names(results: list[RefitResult]) -> str:
    return ", ".join(f"{result.config_id} seed {result.seed}" for result in results)
