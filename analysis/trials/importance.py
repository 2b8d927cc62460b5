"""Which settings mattered: told from trials whose settings were drawn at random, and from no others.

A sampler that learns gathers its trials where earlier ones did well, and early stopping lets those go on that were good
at first: neither are a fair sample of the space.  Two kinds of trials are.  Those of ``--random-share`` were drawn at
random and trained to their end, and tell what a setting does to the end.  Where the sampler itself draws at random, all
trials came to the first epoch at which early stopping judges, and tell what a setting does by then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.run import RunRecord
from analysis.statistics.choosing.main_effects import main_effects
from analysis.trials.axes import Point, SearchAxis, points, search_axes
from analysis.trials.early_judgement import judged_epochs
from analysis.words import listed
from fer_tune.amounts import amount
from fer_tune.run_folder import RANDOM, SEARCHED

FEWEST = 20
"""Random trials with which a setting that explains half of the differences is found in two reports of three."""

FALSE_CLAIMS = 0.04
"""How often a report may name a setting that does nothing: meant to be below 5 % also where the tests err a little."""


@dataclass(frozen=True)
class Importance:
    """How much of the differences between trials, by rank, goes with one setting alone."""

    name: str
    share: float  # adjusted for chance, in [0, 1]; interactions are in no share
    low: float  # all intervals of a report hold at once in 95 % of the cases
    high: float
    p: float  # corrected for the number of settings

    shown: bool = False
    """Whether it is more than chance, corrected for all settings of the report."""


@dataclass(frozen=True)
class Importances:
    """What mattered for one backbone, the largest share first."""

    backbone: str
    trials: int  # drawn at random
    epoch: int  # after which the trials are compared
    whole: bool  # that is their end
    meaning: str  # of what is compared
    settings: list[Importance]

    @property
    def when(self) -> str:
        """After how many epochs, in words."""
        return f"after {amount(self.epoch, 'epoch')}"

    def sentence(self) -> str:
        """Return in words what is known."""
        sample = f"{self.trials} trials of {self.backbone} drawn at random"
        sample += " and trained to their end" if self.whole else ", all of which came that far"
        clear = [setting.name for setting in self.settings if setting.shown]
        if not clear:
            return (
                f"No setting is shown to matter for the {self.meaning} {self.when} ({sample}). That does not mean that "
                "none does: with 20 such trials one that explains half of the differences is missed in a third of the "
                "reports, with 40 hardly ever."
            )
        verb = "matters" if len(clear) == 1 else "matter"
        told = f"{listed(clear)} {verb} for the {self.meaning} {self.when} ({sample})."
        return told if self.whole else f"{told} What matters at the end is not told by it."


def importances(run: RunRecord, backbone: str, *, permutations: int = 1999, rng_seed: int = 0) -> Importances | None:
    """Return how much each searched setting of a backbone mattered; None with fewer than `FEWEST` random trials.

    Args:
        run: the run.
        backbone: one of its backbones.
        permutations: shuffles of the outcomes.
        rng_seed: makes the result reproducible.
    """
    axes = search_axes(run, backbone)
    known, epoch, whole = random_trials(run, backbone)
    if len(known) < FEWEST or not axes:
        return None
    columns = [np.array([_place(axis, point) for point, _ in known]) for axis in axes]
    found = main_effects(
        np.array([outcome for _, outcome in known]),
        columns,
        [bool(axis.choices) for axis in axes],
        level=1 - FALSE_CLAIMS / len(run.settings.backbones),
        permutations=permutations,
        rng_seed=rng_seed,
    )
    alpha = FALSE_CLAIMS / len(run.settings.backbones)
    settings = [
        Importance(axis.name, effect.share, effect.low, effect.high, effect.p, shown=effect.p < alpha)
        for axis, effect in zip(axes, found, strict=True)
    ]
    ordered = sorted(settings, key=lambda each: (not each.shown, -each.share, each.name))
    return Importances(backbone, len(known), epoch, whole, run.aim.meaning, ordered)


def random_trials(run: RunRecord, backbone: str) -> tuple[list[tuple[Point, float]], int, bool]:
    """Return trials that are a fair sample of the space with their outcomes, the epoch of these, and if it is the end.

    Trials to the end where there are enough of them, else all that were drawn at random at the first epoch at which
    early stopping judges.
    """
    settings = run.settings
    origin = {row["trial_id"]: row["origin"] for row in run.rows}
    blind = {RANDOM, SEARCHED} if settings.sampler in ("random", "grid") else {RANDOM}
    drawn = [point for point in points(run, backbone) if origin[point.trial_id] in blind]
    judged = judged_epochs(settings)
    whole = [point for point in drawn if not judged or origin[point.trial_id] == RANDOM]
    ended = [(point, point.key) for point in whole if point.status == "completed"]
    if len(ended) >= FEWEST or not judged:
        return ended, settings.epochs, True
    early = run.epochs[run.epochs["epoch"] <= judged[0]]
    reached = early.groupby("trial_id")["epoch"].max()
    values = early[run.aim.column] if run.aim.maximise else -early[run.aim.column]
    best = values.groupby(early["trial_id"]).max()
    known = [point for point in drawn if reached.get(point.trial_id, 0) == judged[0]]
    return [(point, float(best[point.trial_id])) for point in known], judged[0], False


def untold(run: RunRecord) -> str:
    """Return why nothing is said of a backbone, and the cure."""
    if run.settings.sampler in ("random", "grid"):
        return f"Which settings mattered is told from {FEWEST} trials of a backbone on; here are fewer."
    return (
        "Which settings mattered is not told: a sampler that learns gathers its trials where it expects success, and "
        "stopped trials say little about the end, so that settings which do nothing would seem to matter. A share of "
        f"random trials tells it (fer-tune search --random-share 0.3; {FEWEST} of a backbone are the fewest)."
    )


def _place(axis: SearchAxis, point: Point) -> float:
    value = point.settings.get(axis.name)
    return axis.place(value) if axis.holds(value) else float("nan")
