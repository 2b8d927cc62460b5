"""What a run shows, in words: how far it is, and the answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis.refits.selection import Selection, select_winner
from analysis.results import Comparison, Estimate, TestResult, Versus
from analysis.run import ConfigRefit, RunRecord
from analysis.run.combinations import latest_choice
from analysis.statistics.uncertainty.intervals import mean_interval
from analysis.words import full, percent, points, signed, span, told
from fer_tune.amounts import amount
from fer_tune.errors import UserError
from fer_tune.objectives import ACCURACY, Aim
from fer_tune.run_folder import DRAWN, SEARCHED


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
    step = f"fer-tune refit {run.quoted}"
    if refits:
        try:
            now = select_winner(run)
            step = f"fer-tune test {run.quoted}"
            if any(refit.missing for refit in run.finals):
                step = f"fer-tune refit {run.quoted} --on train+val"
        except UserError:  # refits are missing: the next command is still to refit
            pass
    if not run.ranked or (not refits and any(row["status"] == "running" for row in run.rows)):
        step = f"fer-tune resume {run.quoted}"
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
    """Return the run's answer in a sentence with its interval, or two where published ones had two budgets."""
    data, aim = run.settings.dataset.name, run.aim
    if stand.test is not None:
        test = stand.test
        seeds = f"mean of {len(test.seeds)} seeds" if len(test.seeds) > 1 else "one seed"
        first = ""
        if aim != ACCURACY:
            own = _held_out(test, aim)
            interval = f"95 % interval {told(own.low, aim)} to {told(own.high, aim)}"
            first = f"has {reached(own.value, aim)} ({interval}) and "
        against, further = _against(run, test, stand)
        return (
            f"A {_named(run, test)} {first}classifies {percent(test.accuracy.value)} % of the "
            f"{test.images:,} held-out images of {data} correctly (95 % interval {span(test.accuracy)}"
            f"{_of_groups(test)}; {seeds})"
            f"{against}.{further}"
        )
    if stand.winner is not None:
        values = stand.winner.values
        bounds = mean_interval(values)
        seeds = "one seed, so no interval"
        if len(values) > 1:
            interval = f"{told(bounds.low, aim)} to {told(bounds.high, aim)}"
            seeds = f"95 % interval over seeds {interval}; mean of {len(values)} seeds"
        unread = "the held-out split has not been read yet"
        if run.openings:
            unread = "the held-out split was read, and what that gave is not in the run"
        return (
            f"A {stand.winner.config.backbone} reaches {reached(bounds.estimate, aim)} on the validation images of "
            f"{data} ({seeds}); {unread}."
        )
    if run.ranked:
        best = run.ranked[0]
        return (
            f"The best of {amount(len(run.rows), 'trial')}, a {best['backbone']}, reached "
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


def _against(run: RunRecord, test: TestResult, stand: Standing) -> tuple[str, str]:
    """Return how the winner stands against its closest rival on the same images, and another sentence.

    A published configuration that had the epochs of its paper is named first: so its authors would train it.  The
    other sentence then tells of the search's own budget; both are empty where nothing was compared.
    """
    pairs = stand.comparison.pairs if stand.comparison else []
    own = {refit.config.config_id: refit.config.epochs for refit in stand.refits if refit.config.epochs}
    with_own = [each for each in pairs if each.second in own]
    same = [each for each in pairs if each.second not in own]
    told: list[tuple[bool, str]] = []
    for group in (with_own, same):
        if not group:
            continue
        pair = min(group, key=lambda each: _difference(run, each)[0])
        rival = "the best searched configuration"
        if pair.second_origin in run.published_names:
            rival = f"the {'best ' if len(group) > 1 else ''}published configuration, {pair.second_origin},"
        budget = (
            f"for the {amount(own[pair.second], 'epoch')} of its paper" if pair.second in own else "at the same budget"
        )
        told.append(_clause(run, pair, f"{rival} trained here {budget}"))
    if not told:
        return "", ""
    [(shown, text), *more] = told
    further = [f" It has {each}." if clear else f" {each[0].upper()}{each[1:]}." for clear, each in more]
    return f"{',' if shown else ';'} {text}", "".join(further)


def _difference(run: RunRecord, pair: Versus) -> tuple[float, float, float]:
    """Return by how much the winner is ahead in what a sentence tells, with its bounds."""
    if run.aim.column == "val_macro_f1":
        return pair.macro_f1_difference, pair.macro_f1_low, pair.macro_f1_high
    return pair.difference, pair.low, pair.high


def _clause(run: RunRecord, pair: Versus, rival: str) -> tuple[bool, str]:
    """Return whether there is a difference from ``rival``, and what is told of it."""
    found, low, high = _difference(run, pair)
    of = "" if run.aim == ACCURACY else " of macro F1" if run.aim.column == "val_macro_f1" else " of accuracy"
    interval = f"95 % interval {points(low)} to {points(high)}"
    if low <= 0 <= high:
        return False, f"no difference{of} from {rival} is shown ({interval} points)"
    more = "more" if found > 0 else "fewer"
    return True, f"{signed(100 * abs(found))[1:]} points{of} {more} than {rival} ({interval})"


def footing(run: RunRecord, stand: Standing) -> str:
    """Return what it means that one setting is compared with the best of many; empty where none such is compared."""
    if stand.test is None or stand.comparison is None:
        return ""
    origins = [stand.test.origin, *(pair.second_origin for pair in stand.comparison.pairs)]
    published = [origin in run.published_names for origin in origins]
    if all(published) or not any(published):
        return ""
    tried = amount(searched_trials(run), "trial")
    return (
        f"The searched configuration was chosen from {tried} on this data, a published one is a single setting: the "
        "difference is what so much searching gains here, and ranks neither networks nor papers."
    )


def searched_trials(run: RunRecord) -> int:
    """Return how many trials the searched configuration was chosen from: those with a figure but the published ones."""
    return sum(row["origin"] not in run.published_names for row in run.ranked)


def chosen(stand: Standing) -> str:
    """Return how the tested configuration was chosen and whether it still would be, in words; empty before a test."""
    if stand.test is None:
        return ""
    words = stand.test.selection
    rival = overtaking(stand)
    if rival is None and (stand.now is None or stand.now.words == words):
        return words
    return f"{words}; that was before the test, and {'it still' if rival is None else 'another'} would be chosen now"


def overtaking(stand: Standing) -> ConfigRefit | None:
    """Return the configuration that would be chosen now in place of the tested one, if another would be."""
    if stand.test is None or stand.now is None or stand.now.winner.config.config_id == stand.test.config_id:
        return None
    return stand.now.winner


def versus_method(run: RunRecord, stand: Standing) -> str:
    """Return how the winner was compared with the others, and which comparison of the family stands elsewhere."""
    if stand.comparison is None:
        return ""
    tested = latest_choice(run)
    told = [stand.comparison.method]
    if tested is not None and tested.gain is not None and tested.opening == stand.comparison.opening:
        told.append(f"One of them is that of the {tested.choice.combination.name}, which validation chose, below.")
    return " ".join(filter(None, (*told, footing(run, stand))))
