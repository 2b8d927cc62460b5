"""Which backbone gets the next trial: in turn, as a search does it, or by a bandit over the backbones.

`python tests/benchmarks/allocation.py [seeds]` replays searches over three backbones on surrogates; no network is
trained.  The three are made from one surrogate, that of `efficiency.py`: each sees another learning rate (a factor),
and has its accuracy above chance scaled (``level``), bent so that fewer settings are good (``narrow``) and delayed over
the epochs (``slow``).  So nothing here says how real backbones differ; it says what a rule gains and loses in three
situations that it has to cope with.

All rules drive the searcher (TPE, a study for each backbone) and ASHA as Tune does, with the same number of epochs.
``best alone`` gives all trials to the backbone whose best setting is best, which nobody knows: the most that any rule
could gain.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from efficiency import interval
from replaying import AT_ONCE, drive, quietly
from surrogate import EPOCHS, Surrogate

from fer_tune.objectives import ACCURACY
from fer_tune.run_folder import RunFolder
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import from_resolved
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.search.stopping_early.asha import BackboneASHA

BUDGET = 220  # epochs of one replayed search: some sixty trials, most of them stopped early
LOOKS = (150, BUDGET)  # epochs after which the ways are compared
SEEDS = 20
CHANCE = 1 / 7
FAIR_START = 8  # trials of each backbone before a bandit decides: as many as TPE draws at random


@dataclass(frozen=True)
class Backbone:
    """How one backbone differs from the recorded one."""

    level: float = 1.0
    rate: float = 1.0  # its best learning rate, over that of the recorded one
    narrow: float = 1.0
    slow: float = 0.0

    def curve(self, surrogate: Surrogate, settings: dict[str, Any]) -> np.ndarray:
        """Return (epochs,) float64 accuracies in [0, 1]."""
        curve = surrogate.curve({**settings, "learning_rate": settings["learning_rate"] / self.rate})
        above = np.clip((curve - CHANCE) / (surrogate.best_recorded - CHANCE), 0.0, None)
        above = above**self.narrow * (np.arange(1, EPOCHS + 1) / EPOCHS) ** self.slow
        return np.asarray(CHANCE + self.level * above * (surrogate.best_recorded - CHANCE))


SITUATIONS: dict[str, dict[str, Backbone]] = {
    "one clearly better": {
        "cnn_simpler": Backbone(),
        "cnn_separable": Backbone(level=0.92, rate=3.0),
        "cnn_residual": Backbone(level=0.86, rate=0.3),
    },
    "all near equal": {
        "cnn_simpler": Backbone(),
        "cnn_separable": Backbone(level=0.99, rate=3.0),
        "cnn_residual": Backbone(level=0.98, rate=0.3),
    },
    "the best one starts badly": {
        "cnn_simpler": Backbone(level=0.92),
        "cnn_separable": Backbone(level=0.90, rate=3.0),
        "cnn_residual": Backbone(rate=0.3, narrow=2.0, slow=0.5),
    },
}


class MaxUCB(StudySearcher):
    """MaxUCB (Balef, Vernade and Eggensperger 2025, arXiv:2505.05226): the largest ``best + (a ln t / n) ** 2``.

    Accuracies are scaled to [0, 1] over all trials so far, ``t`` counts all trials and ``n`` those of the
    backbone, also those that run; ``a`` is the authors' 0.5.
    """

    def __init__(self, spaces: dict[str, SearchSpace], *arguments: Any) -> None:
        super().__init__(spaces, *arguments)
        self._values: dict[str, list[float]] = {name: [] for name in spaces}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        super().on_trial_complete(trial_id, result, error)
        self._values[self._numbers[trial_id][0]].append(float((result or {})[ACCURACY.best]))

    def _turn(self, open_ones: list[str]) -> str:
        if min(self._suggested.values()) < FAIR_START or not all(self._values.values()):
            return super()._turn(open_ones)
        seen = np.concatenate(list(self._values.values()))
        low, spread = seen.min(), max(float(np.ptp(seen)), 1e-9)
        total = math.log(sum(self._suggested.values()))

        def bound(name: str) -> float:
            return float((max(self._values[name]) - low) / spread + (0.5 * total / self._suggested[name]) ** 2)

        return max(open_ones, key=bound)


Searchers = Callable[[dict[str, SearchSpace], int, RunFolder], StudySearcher]


def with_rule(rule: type[StudySearcher]) -> Searchers:
    def make(spaces: dict[str, SearchSpace], seed: int, run: RunFolder) -> StudySearcher:
        return rule(spaces, {}, 10_000, EPOCHS, seed, run, "tpe")

    return make


def replay(
    searchers: Searchers, backbones: Mapping[str, Backbone], surrogate: Surrogate, space: SearchSpace, seed: int
) -> tuple[np.ndarray, dict[str, int]]:
    """Return (BUDGET,) the best accuracy seen after each epoch spent, and the number of trials of each backbone."""
    spaces = {name: from_resolved({**space.resolved(), "backbone": name}) for name in backbones}
    scheduler: Any = BackboneASHA(list(backbones), EPOCHS, grace_period=2, reduction_factor=3)
    scheduler.set_search_properties(ACCURACY.best, "max")
    counts = dict.fromkeys(backbones, 0)

    def curve(settings: dict[str, Any]) -> np.ndarray:
        counts[settings["backbone"]] += 1
        return backbones[settings["backbone"]].curve(surrogate, settings)

    with tempfile.TemporaryDirectory() as folder:
        searcher = searchers(spaces, seed, RunFolder(Path(folder)))
        return drive(searcher, scheduler, curve, seed, BUDGET), counts


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    quietly()
    surrogate = Surrogate("drawn")
    space = surrogate.space
    print(f"{seeds} seeds; best accuracy after {LOOKS[0]} and {LOOKS[1]} epochs, {AT_ONCE} trials at once")
    print("in brackets: the mean difference to trials in turn, in points, with its 95 % bootstrap interval over seeds")
    for situation, backbones in SITUATIONS.items():
        best = max(backbones, key=lambda name: backbones[name].level)
        ways: dict[str, tuple[Searchers, dict[str, Backbone]]] = {
            "in turn": (with_rule(StudySearcher), backbones),
            "MaxUCB": (with_rule(MaxUCB), backbones),
            "best alone": (with_rule(StudySearcher), {best: backbones[best]}),
        }
        print(f"\n{situation}", flush=True)
        base = np.zeros((seeds, BUDGET))
        for name, (searchers, asked) in ways.items():
            runs = [replay(searchers, asked, surrogate, space, seed) for seed in range(seeds)]
            found = np.array([curve for curve, _ in runs])
            share = np.mean([counts[best] / sum(counts.values()) for _, counts in runs])
            if name == "in turn":
                base = found
            told = [f"{found[:, at - 1].mean():.2%} ({against(base[:, at - 1], found[:, at - 1])})" for at in LOOKS]
            print(f"  {name:12} {told[0]:34} {told[1]:34} {share:.0%} of trials to the best one", flush=True)


def against(base: np.ndarray, found: np.ndarray) -> str:
    """Mean difference in points of accuracy, with its interval."""
    difference = 100 * (found - base)
    low, high = interval(difference, lambda values: float(values.mean()))
    return f"{difference.mean():+.2f}, {low:+.2f} to {high:+.2f}"


if __name__ == "__main__":
    main()
