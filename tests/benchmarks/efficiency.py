"""Epochs that a search needs to find a good setting: rules without a model, Ray's stock Optuna with ASHA, and ours.

    python tests/benchmarks/efficiency.py [--table fer2013] [--noise] [--seeds 30] [WAY ...]

replays searches on a surrogate of real learning curves (`surrogate.py`); no network is trained.  The surrogate is
smooth; ``--noise`` adds to what a search sees of a trial what recorded trials lie apart by.

The target is what half of the random searches have found at the end of their budget.  A search that has not reached it
when that is spent goes on until it has, or what it needs would count as less than it is.
"""

from __future__ import annotations

import argparse
import copy
import logging
import statistics
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from replaying import AT_ONCE, Halving, Promotion, drive
from surrogate import EPOCHS, TABLES, Surrogate, space_of

import fer_tune.search.proposing.searcher as searchers
from fer_tune.objectives import ACCURACY
from fer_tune.run_folder import Candidate, RunFolder
from fer_tune.search.proposing.optuna_internals import LearnsFromDrawn
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import load_space
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.search.stopping_early.asha import BackboneASHA
from fer_tune.search.stopping_early.median import BackboneMedian

BUDGET = 60 * EPOCHS  # epochs of one replayed search: 60 trials that are never stopped
LIMIT = 3 * BUDGET  # of one that goes on
SEEDS = 30
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


def stock_known(space: SearchSpace, seed: int, folder: Path) -> Searcher:
    """The same, told by hand where to begin."""
    points = [entry.config for entry in known_good(space)]
    return OptunaSearch(space=space.suggest, metric="val_accuracy", mode="max", seed=seed, points_to_evaluate=points)


class AllTogether(StudySearcher):
    """Ours, but TPE looks at all settings together."""

    def _open_studies(self) -> dict[str, optuna.Study]:
        studies = super()._open_studies()
        for study in studies.values():
            study.sampler = optuna.samplers.TPESampler(
                multivariate=True, group=True, constant_liar=True, n_startup_trials=8, seed=self._seed
            )
        return studies


class ToldComplete(StudySearcher):
    """Ours, but trials that ASHA stopped are told as complete with their last value, as OptunaSearch does."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        super().on_trial_complete(trial_id, {**(result or {}), "finished": True}, error)


class _SoFar(LearnsFromDrawn):
    """TPE in which a trial counts with its best value so far, whether it has ended, was stopped or goes on.

    By itself it takes each trial that ran to its end for better than any that was stopped, and one that runs for poor.
    """

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return super().sample_independent(_SoFarStudy(study), trial, param_name, param_distribution)  # type: ignore[arg-type]


class _SoFarStudy:
    def __init__(self, study: optuna.Study) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def _get_trials(self, *args: Any, **options: Any) -> list[FrozenTrial]:
        return [_so_far(trial) for trial in self._study._get_trials(*args, **options)]


def _so_far(trial: FrozenTrial) -> FrozenTrial:
    if trial.state not in (TrialState.PRUNED, TrialState.RUNNING) or not trial.intermediate_values:
        return trial
    ended = copy.copy(trial)
    ended.state, ended.value = TrialState.COMPLETE, trial.intermediate_values[max(trial.intermediate_values)]
    return ended


class SoFar(StudySearcher):
    """Ours, but TPE is told what each trial has so far, see `_SoFar`."""

    def _open_studies(self) -> dict[str, optuna.Study]:
        studies = super()._open_studies()
        for study in studies.values():
            study.sampler = _SoFar(multivariate=False, constant_liar=True, n_startup_trials=8, seed=self._seed)
        return studies


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
    "promotion 1, 9": partial(Promotion, 1, 9, EPOCHS),
    "promotion 1, 20": partial(Promotion, 1, 20, EPOCHS),
    "successive halving 1, 3": partial(Halving, [(27, 1), (9, 3), (3, EPOCHS)]),
    "Hyperband": partial(Halving, [(9, 1), (3, 3), (1, EPOCHS)], [(5, 3), (1, EPOCHS)], [(3, EPOCHS)]),
    "median rule from 1": partial(median, 1),
    "median rule from 2": partial(median, 2),
}
ALONE = ours("random", known=False)
WAYS: dict[str, Way] = {
    **{name: Way(ALONE, scheduler, model=False) for name, scheduler in SIMPLE.items()},
    "stock OptunaSearch + ASHA": Way(stock, stock_asha),
    "stock, told what is known": Way(stock_known, stock_asha),
    "ours, told what is known": Way(ours(), partial(asha, 2, 3)),
    "TPE, ASHA 2, 3": Way(ours(known=False), partial(asha, 2, 3)),
    "TPE, ASHA 1, 3": Way(ours(known=False), partial(asha, 1, 3)),
    "TPE, ASHA 1, 9": Way(ours(known=False), partial(asha, 1, 9)),
    "TPE, one epoch, the best 2 of 20": Way(ours(known=False), partial(one_epoch, 20, 2)),
    "TPE, promotion 1, 9": Way(ours(known=False), partial(Promotion, 1, 9, EPOCHS)),
    "TPE, median rule from 2": Way(ours(known=False), partial(median, 2)),
    "TPE, never stopped": Way(ours(known=False), FIFOScheduler),
    "TPE, all settings together, ASHA 2, 3": Way(ours(known=False, made=AllTogether), partial(asha, 2, 3)),
    "TPE, stopped told complete, ASHA 2, 3": Way(ours(known=False, made=ToldComplete), partial(asha, 2, 3)),
    "TPE told so far, ASHA 2, 3": Way(ours(known=False, made=SoFar), partial(asha, 2, 3)),
    "TPE told so far, ASHA 1, 9": Way(ours(known=False, made=SoFar), partial(asha, 1, 9)),
    "TPE told so far, one epoch, the best 2 of 20": Way(ours(known=False, made=SoFar), partial(one_epoch, 20, 2)),
    "TPE told so far, promotion 1, 9": Way(ours(known=False, made=SoFar), partial(Promotion, 1, 9, EPOCHS)),
}


def new_folder(inside: str) -> Path:
    """A study must not find the journal of another way's search."""
    return Path(tempfile.mkdtemp(dir=inside))


def interval(values: np.ndarray, statistic: Callable[[np.ndarray], float], draws: int = 4_000) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval over seeds; ``values`` has seeds along its last axis."""
    rng = np.random.default_rng(0)
    found = [statistic(values[..., rng.integers(0, values.shape[-1], values.shape[-1])]) for _ in range(draws)]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("ways", nargs="*", metavar="WAY", help="; ".join(WAYS))
    asked.add_argument("--table", choices=TABLES, default="drawn")
    asked.add_argument("--noise", action="store_true")
    asked.add_argument("--seeds", type=int, default=SEEDS)
    given = asked.parse_args()
    if unknown := sorted({*given.ways} - WAYS.keys()):
        asked.error(f"{', '.join(unknown)}: not one of {'; '.join(WAYS)}")
    quietly()
    surrogate = Surrogate(given.table)
    print(
        f"{given.table}: {surrogate.trials} recorded trials of {EPOCHS} epochs, best {surrogate.best_recorded:.1%}, "
        f"median {surrogate.median_recorded:.1%}; cross-validated R2 of the surrogate {surrogate.r2[0]:.2f} after "
        f"epoch 1, {surrogate.r2[-1]:.2f} after epoch {EPOCHS}"
    )
    if given.noise:
        print(
            f"noise from {surrogate.noise_from}: {surrogate.noise[0]:.1%} after epoch 1 and {surrogate.noise[1]:.1%} "
            f"after epoch {EPOCHS} in the better half"
        )
    noise = surrogate.noisy if given.noise else None
    with tempfile.TemporaryDirectory() as folder:

        def replay(name: str, seed: int, least: int = 1, target: float = 0.0) -> np.ndarray:
            searcher = WAYS[name].searcher(surrogate.space, seed, new_folder(folder))
            how = {"target": target, "limit": LIMIT, "noise": noise}
            return drive(searcher, WAYS[name].scheduler(), surrogate.curve, seed, least, **how)

        seeds = range(given.seeds)
        at_random = [replay(RANDOM, seed, BUDGET) for seed in seeds]
        target = float(np.median([best[-1] for best in at_random]))
        print(f"target: {target:.2%} validation accuracy, random search's median after {BUDGET} epochs")
        print(f"{given.seeds} seeds, {AT_ONCE} trials at once, searches of {LIMIT} epochs at most\n")
        needed = {}
        for name in dict.fromkeys([RANDOM, *(given.ways or WAYS)]):
            known = at_random if name == RANDOM else [np.zeros(1)] * given.seeds
            found = [known[seed] if known[seed][-1] >= target else replay(name, seed, 1, target) for seed in seeds]
            needed[name] = np.array([epochs_to(best, target) for best in found])
            shown(name, needed[name])
    print_ratios(needed)


def quietly() -> None:
    """Have nobody but the benchmark speak, and nothing written that a resume would need."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    searchers.JournalStorage = lambda backend: InMemoryStorage()  # type: ignore[misc,assignment]


def epochs_to(best: np.ndarray, target: float) -> int:
    """Return the epochs after which a search had the target; one that never got there counts as all it had."""
    return int(np.argmax(best >= target)) + 1 if best[-1] >= target else len(best)


def shown(name: str, epochs: np.ndarray) -> None:
    """Print what one way needed, as soon as it is known."""
    low, high = interval(epochs, lambda values: float(values.mean()))
    print(
        f"{name:46} median {statistics.median(epochs):4.0f}, mean {epochs.mean():4.0f} ({low:.0f} to {high:.0f}), "
        f"{(epochs > BUDGET).sum()} after {BUDGET}, {(epochs >= LIMIT).sum()} never",
        flush=True,
    )


def print_ratios(needed: dict[str, np.ndarray]) -> None:
    """Print how many times fewer epochs each way needed than random search and than the best rule without a model."""
    strongest = min((name for name in needed if not WAYS[name].model), key=lambda name: needed[name].mean())
    print(f"\nthe strongest rule without a model: {strongest}\n")
    print(f"{'':46} {'random / it':>20} {'strongest / it':>20}")
    for name, epochs in needed.items():
        print(f"{name:46} {ratio(needed[RANDOM], epochs):>20} {ratio(needed[strongest], epochs):>20}")


def ratio(base: np.ndarray, epochs: np.ndarray) -> str:
    """Ratio of the mean epochs, with its interval over seeds."""
    low, high = interval(np.stack([base, epochs]), lambda values: float(values[0].mean() / values[1].mean()))
    return f"{base.mean() / epochs.mean():.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
