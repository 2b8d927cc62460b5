"""Which settings mattered: PED-ANOVA over the trials, with an interval from halves of them and what chance gives.

PED-ANOVA (Watanabe, Bansal & Hutter, IJCAI 2023) asks how differently the best part of the trials is spread over a
setting than all of them are.  Only whether a trial is among the best counts, not its accuracy itself, so trials that
were stopped early can stay in: they were stopped for not being among the best.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.run import RunRecord
from analysis.trials.axes import Point, SearchAxis, points, search_axes

FEWEST = 10  # trials; with fewer nothing is said
_GOOD = 8  # trials in the best part at least, where there are enough (Optuna advises 5 or more)


@dataclass(frozen=True)
class Importance:
    """The share of one setting in reaching the best part of the trials; all shares of a backbone sum to 1."""

    name: str
    share: float
    low: float  # 95 % interval over random halves of the trials
    high: float
    chance: float  # what it stays below in 95 % of the cases when accuracies are shuffled among the trials

    @property
    def shown(self) -> bool:
        """Whether the share is above what chance gives."""
        return self.share > self.chance


@dataclass(frozen=True)
class Importances:
    """What mattered for one backbone, the largest share first."""

    backbone: str
    trials: int
    best_part: float  # share of the trials that count as the best
    settings: list[Importance]

    def sentence(self) -> str:
        """Return in words what is known."""
        clear = [setting.name for setting in self.settings if setting.shown]
        if not clear:
            return f"With {self.trials} trials of {self.backbone} no setting is shown to matter more than chance."
        verb = "matters" if len(clear) == 1 else "matter"
        return f"Of the settings of {self.backbone}, {', '.join(clear)} {verb} more than chance ({self.trials} trials)."


def importances(run: RunRecord, backbone: str, *, resamples: int = 100, rng_seed: int = 0) -> Importances | None:
    """Return how much each searched setting of a backbone mattered; None with fewer than `FEWEST` trials.

    Args:
        run: the run.
        backbone: one of its backbones.
        resamples: random halves, and shuffles.
        rng_seed: makes the result reproducible.
    """
    axes = search_axes(run, backbone)
    known = [p for p in points(run, backbone) if all(a.holds(p.settings[a.name]) for a in axes if a.name in p.settings)]
    if len(known) < FEWEST or not axes:
        return None
    quantile = min(0.5, max(0.1, _GOOD / len(known)))
    rng = np.random.default_rng(rng_seed)
    values = np.array([point.key for point in known])
    divergences = _divergences(axes, known, quantile)
    whole = divergences(values)
    names, total = list(whole), sum(whole.values()) or 1.0
    drawn, shuffled = np.zeros((2, resamples, len(names)))
    for number in range(resamples):
        half = np.full(len(known), np.nan)
        chosen = rng.permutation(len(known))[: len(known) // 2]  # halves vary as bootstrap samples of the whole do
        half[chosen] = values[chosen]
        own = divergences(half)
        drawn[number] = [own.get(name, 0.0) / (sum(own.values()) or 1.0) for name in names]
        other = divergences(rng.permutation(values))
        shuffled[number] = [other.get(name, 0.0) / total for name in names]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    chance = np.quantile(shuffled, 0.95, axis=0)
    found = []
    for i, name in enumerate(names):
        share = whole[name] / total
        found.append(Importance(name, share, min(float(low[i]), share), max(float(high[i]), share), float(chance[i])))
    return Importances(backbone, len(known), quantile, sorted(found, key=lambda each: (-each.share, each.name)))


def _divergences(
    axes: list[SearchAxis], known: list[Point], quantile: float
) -> Callable[[NDArray[np.float64]], dict[str, float]]:
    """Return a function from an accuracy per trial (NaN leaves it out) to the divergence of each setting."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

    def distribution(axis: SearchAxis) -> BaseDistribution:
        if axis.choices:
            return CategoricalDistribution(axis.choices)
        if axis.integer:
            return IntDistribution(int(axis.low), int(axis.high))
        return FloatDistribution(axis.low, axis.high, log=axis.log)

    distributions = {axis.name: distribution(axis) for axis in axes}
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(direction="maximize")
        for point in known:
            own = {name: point.settings[name] for name in distributions if name in point.settings}
            kinds = {name: distributions[name] for name in own}
            study.add_trial(optuna.trial.create_trial(value=point.key, params=own, distributions=kinds))
    finally:
        optuna.logging.set_verbosity(level)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)

    def divergences(values: NDArray[np.float64]) -> dict[str, float]:
        def loss(trial: optuna.trial.FrozenTrial) -> float:
            return -float(values[trial.number])  # with a target of one's own, less is better

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of regimes with few trials: the interval says it
            return optuna.importance.get_param_importances(study, evaluator=evaluator, target=loss, normalize=False)

    return divergences
