"""The ways to search that are compared: what proposes settings, and what stops or pauses trials.

`efficiency.py` replays all of them, `informed.py` and `live.py` some.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from replaying import Halving, Promotion
from surrogate import EPOCHS, TABLES, space_of

from fer_tune.objectives import ACCURACY
from fer_tune.run_folder import Candidate, RunFolder
from fer_tune.search.proposing.optuna_internals import Retelling
from fer_tune.search.proposing.samplers import make_sampler
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import load_space
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.search.stopping_early.median import BackboneMedian

BACKBONES = [space_of(table).backbone for table in TABLES]


@dataclass(frozen=True)
class Way:
    """A searcher and a scheduler, made anew for each seed."""

    searcher: Callable[[SearchSpace, int, Path], Searcher]
    scheduler: Callable[[], Any]
    model: bool = True  # whether it learns which settings are good


def ours(
    sampler: Any = "tpe", *, known: bool = True, made: type[StudySearcher] = StudySearcher
) -> Callable[[SearchSpace, int, Path], Searcher]:
    """The engine's searcher; ``known``: it tries first what the shipped spaces know to be good, on other faces."""

    def make(space: SearchSpace, seed: int, folder: Path) -> Searcher:
        first = {space.backbone: known_good(space) if known else []}
        return made({space.backbone: space}, first, 10_000, EPOCHS, seed, RunFolder(folder), sampler)

    return make


def known_good(space: SearchSpace) -> list[Candidate]:
    """Return what the small networks' spaces know from FER2013."""
    shipped = load_space(space.backbone, against_model=False).known_good
    return space.model_copy(update={"known_good": shipped}).fitting()


def stock(space: SearchSpace, seed: int, folder: Path) -> Searcher:
    """OptunaSearch as its documentation has it: TPE as Optuna sets it up, the epoch's accuracy as the metric."""
    return OptunaSearch(space=space.suggest, metric="val_accuracy", mode="max", seed=seed)


class AllTogether(StudySearcher):
    """Ours, but TPE looks at all settings together."""

    def _open_studies(self) -> dict[str, optuna.Study]:
        studies = super()._open_studies()
        for study in studies.values():
            study.sampler = optuna.samplers.TPESampler(
                multivariate=True, group=True, constant_liar=True, n_startup_trials=8, seed=self._seed
            )
        return studies


class Retold(StudySearcher):
    """Ours, but TPE is told otherwise what trials are worth.

    By itself it takes each trial that ran to its end for better than any that was stopped, of these the ones that came
    further for better, and one that runs for poor.
    """

    retelling: Retelling

    def _open_studies(self) -> dict[str, optuna.Study]:
        studies = super()._open_studies()
        for name, study in studies.items():
            study.sampler = make_sampler("tpe", self._seed, self._spaces[name], EPOCHS, retelling=self.retelling)
        return studies


def so_far(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """A trial counts with its best value so far, whether it has ended, was stopped or goes on."""
    begun, others = _begun(trials)
    return [*(counted(trial, trial.intermediate_values[max(trial.intermediate_values)]) for trial in begun), *others]


def like_with_like(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """A trial counts with the share of the others that it beats, after the last epoch that both have come to."""
    trials, others = _begun(trials)
    if not trials:
        return others
    values = np.full((len(trials), EPOCHS + 1), np.nan)
    for row, trial in zip(values, trials, strict=True):
        row[list(trial.intermediate_values)] = list(trial.intermediate_values.values())
    came = np.array([max(trial.intermediate_values) for trial in trials], int)
    both = np.minimum.outer(came, came)
    here = np.take_along_axis(values, both, axis=1)
    scores = np.sign(here - here.T).mean(axis=1)
    return [*(counted(trial, score) for trial, score in zip(trials, scores, strict=True)), *others]


def _begun(trials: Sequence[FrozenTrial]) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    """Return the trials that have a value, and the others."""
    begun = [trial for trial in trials if trial.intermediate_values]
    return begun, [trial for trial in trials if not trial.intermediate_values]


def counted(trial: FrozenTrial, value: float) -> FrozenTrial:
    """Return a trial as if it had ended with a value."""
    ended = copy.copy(trial)
    ended.state, ended.value = TrialState.COMPLETE, value
    return ended


class SoFar(Retold):
    """See `so_far`."""

    retelling = staticmethod(so_far)


class LikeWithLike(Retold):
    """See `like_with_like`."""

    retelling = staticmethod(like_with_like)


def asha(first: int, factor: int, brackets: int = 1) -> Any:
    """ASHA as the engine has it: it stops trials."""
    scheduler = BackboneASHA(BACKBONES, EPOCHS, first, factor, brackets)
    scheduler.set_search_properties(ACCURACY.best, "max")
    return scheduler


def median(first: int) -> Any:
    """The median rule."""
    scheduler = BackboneMedian(first)
    scheduler.set_search_properties(ACCURACY.best, "max")
    return scheduler


def stock_asha() -> Any:
    """With Ray's defaults but for the most epochs."""
    return ASHAScheduler(metric="val_accuracy", mode="max", max_t=EPOCHS)


def one_epoch(trials: int, best: int) -> Halving:
    """The rule of one epoch."""
    return Halving([(trials, 1), (best, EPOCHS)])


RANDOM = "random"
SIMPLE = {  # rules without a model
    RANDOM: FIFOScheduler,
    "one epoch, the best 2 of 20": partial(one_epoch, 20, 2),
    "one epoch, the best of 20": partial(one_epoch, 20, 1),
    "ASHA 2, 3": partial(asha, 2, 3),
    "ASHA 1, 3": partial(asha, 1, 3),
    "ASHA 1, 9": partial(asha, 1, 9),
    "ASHA 1, 20": partial(asha, 1, 20),
    "promotion 1, 3": partial(Promotion, 1, 3, EPOCHS),
    "promotion 1, 9": partial(Promotion, 1, 9, EPOCHS),
    "promotion 2, 3": partial(Promotion, 2, 3, EPOCHS),
    "successive halving 1, 3": partial(Halving, [(27, 1), (9, 3), (3, EPOCHS)]),
    "Hyperband": partial(Halving, [(9, 1), (3, 3), (1, EPOCHS)], [(5, 3), (1, EPOCHS)], [(3, EPOCHS)]),
    "median rule from 1": partial(median, 1),
    "median rule from 2": partial(median, 2),
}
ALONE = ours("random", known=False)
WAYS: dict[str, Way] = {
    **{name: Way(ALONE, scheduler, model=False) for name, scheduler in SIMPLE.items()},
    "stock OptunaSearch + ASHA": Way(stock, stock_asha),
    "GP, told what is known": Way(ours("gp"), partial(asha, 2, 3)),
    "GP, ASHA 2, 3": Way(ours("gp", known=False), partial(asha, 2, 3)),
    "GP, ASHA 1, 3": Way(ours("gp", known=False), partial(asha, 1, 3)),
    "GP, promotion 2, 3": Way(ours("gp", known=False), partial(Promotion, 2, 3, EPOCHS)),
    "TPE, told what is known": Way(ours("tpe"), partial(asha, 2, 3)),
    "TPE, ASHA 2, 3": Way(ours("tpe", known=False), partial(asha, 2, 3)),
    "TPE, ASHA 1, 3": Way(ours("tpe", known=False), partial(asha, 1, 3)),
    "TPE, ASHA 1, 9": Way(ours("tpe", known=False), partial(asha, 1, 9)),
    "TPE, promotion 2, 3": Way(ours("tpe", known=False), partial(Promotion, 2, 3, EPOCHS)),
    "CMA-ES, ASHA 2, 3": Way(ours("cmaes", known=False), partial(asha, 2, 3)),
    "TPE, all settings together, ASHA 2, 3": Way(ours(known=False, made=AllTogether), partial(asha, 2, 3)),
    "TPE told so far, ASHA 2, 3": Way(ours(known=False, made=SoFar), partial(asha, 2, 3)),
    "TPE told so far, promotion 1, 3": Way(ours(known=False, made=SoFar), partial(Promotion, 1, 3, EPOCHS)),
    "TPE told so far, promotion 1, 9": Way(ours(known=False, made=SoFar), partial(Promotion, 1, 9, EPOCHS)),
    "TPE told so far, promotion 2, 3": Way(ours(known=False, made=SoFar), partial(Promotion, 2, 3, EPOCHS)),
    "TPE told like with like, ASHA 2, 3": Way(ours(known=False, made=LikeWithLike), partial(asha, 2, 3)),
    "TPE told like with like, promotion 2, 3": Way(
        ours(known=False, made=LikeWithLike), partial(Promotion, 2, 3, EPOCHS)
    ),
}
