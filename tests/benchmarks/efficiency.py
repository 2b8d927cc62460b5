"""Epochs that a search needs to find a good setting: random search, Ray's stock Optuna with ASHA, and ours.

`python tests/benchmarks/efficiency.py [seeds]` (30) replays searches on a surrogate of real learning curves; no network
is trained.  The surrogate (`surrogate.py`) is smooth, so a replay leaves out the noise between seeds, and its search is
somewhat easier than a real one.

A replay drives the searcher and the scheduler as Tune does, with :data:`AT_ONCE` trials side by side whose epochs take
the same time but for a few per cent.  All ways have the same budget of epochs; a search that has not reached the
target when it is spent goes on until it has, or what it needs would count as less than it is.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch
from surrogate import EPOCHS, Surrogate

import fer_tune.search.proposing.searcher as searchers
from fer_tune.objectives import ACCURACY
from fer_tune.run_folder import Candidate, RunFolder
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.loading import load_space
from fer_tune.search.spaces.space import SearchSpace
from fer_tune.search.stopping_early.asha import BackboneASHA

AT_ONCE = 4
BUDGET = 60 * EPOCHS  # epochs of one replayed search: 60 trials that are never stopped
LIMIT = 3 * BUDGET  # of one that goes on
PARTS = {"a third of the budget": BUDGET // 3, "all of it": BUDGET}
SEEDS = 30


@dataclass(frozen=True)
class Way:
    """A searcher and a scheduler, made anew for each seed."""

    searcher: Callable[[SearchSpace, int, Path], Searcher]
    scheduler: Callable[[], TrialScheduler]


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


def asha() -> TrialScheduler:
    """As `fer-tune search` sets it up by default."""
    scheduler = BackboneASHA(["cnn_simpler"], EPOCHS, grace_period=2, reduction_factor=3)
    scheduler.set_search_properties(ACCURACY.best, "max")
    return scheduler


def stock_asha() -> TrialScheduler:
    """With Ray's defaults but for the most epochs."""
    return ASHAScheduler(metric="val_accuracy", mode="max", max_t=EPOCHS)


STOCK = "stock OptunaSearch + ASHA"
WAYS: dict[str, Way] = {
    "random": Way(ours("random", known=False), FIFOScheduler),
    "random + ASHA": Way(ours("random", known=False), asha),
    STOCK: Way(stock, stock_asha),
    "stock, told what is known": Way(stock_known, stock_asha),
    "ours": Way(ours(), asha),
    "ours, nothing known": Way(ours(known=False), asha),
    "ours, all settings together": Way(ours(known=False, made=AllTogether), asha),
    "ours, stopped told complete": Way(ours(known=False, made=ToldComplete), asha),
    "ours without ASHA": Way(ours(known=False), FIFOScheduler),
}


def drive(
    searcher: Searcher,
    scheduler: Any,
    curve: Callable[[dict[str, Any]], np.ndarray],
    seed: int,
    budget: int,
    target: float = 0.0,
) -> np.ndarray:
    """Return (epochs,) the best accuracy seen after each epoch spent.

    Args:
        searcher: suggests settings.
        scheduler: stops trials.
        curve: settings, with their ``backbone`` -> (epochs,) accuracies.
        seed: of the order in which epochs end.
        budget: epochs of all trials together.
        target: accuracy; a search that has not reached it goes on beyond its budget, to ``LIMIT`` at most.
    """
    rng = np.random.default_rng(seed)
    numbers = itertools.count()
    events: list[tuple[float, int]] = []
    running: dict[int, tuple[Any, np.ndarray, list[float]]] = {}

    def start(now: float) -> None:
        number = next(numbers)
        settings = searcher.suggest(f"{number:08d}")
        assert isinstance(settings, dict)
        trial = SimpleNamespace(trial_id=f"{number:08d}", config={"backbone": "cnn_simpler", **settings})
        scheduler.on_trial_add(None, trial)
        running[number] = (trial, curve(trial.config), [])
        heapq.heappush(events, (now + rng.uniform(0.95, 1.05), number))

    for _ in range(AT_ONCE):
        start(0.0)
    best: list[float] = []
    while len(best) < budget or (best[-1] < target and len(best) < LIMIT):
        now, number = heapq.heappop(events)
        trial, values, seen = running[number]
        seen.append(float(values[len(seen)]))
        best.append(max(seen[-1], best[-1] if best else 0.0))
        done = len(seen) == EPOCHS
        result = {
            "epoch": len(seen),
            "training_iteration": len(seen),
            "val_accuracy": seen[-1],
            ACCURACY.best: max(seen),
        }
        result["finished"] = done
        if done or scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
            scheduler.on_trial_complete(None, trial, result)
            searcher.on_trial_complete(trial.trial_id, result=result)  # Tune passes a trial's last result here alone
            del running[number]
            start(now)
        else:
            searcher.on_trial_result(trial.trial_id, result)
            heapq.heappush(events, (now + rng.uniform(0.95, 1.05), number))
    return np.array(best)


def replay(
    way: Way, surrogate: Surrogate, space: SearchSpace, seed: int, folder: Path, target: float = 0.0
) -> np.ndarray:
    """Return (epochs,) the best accuracy seen after each epoch spent."""
    return drive(way.searcher(space, seed, folder), way.scheduler(), surrogate.curve, seed, BUDGET, target)


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
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    searchers.JournalStorage = lambda backend: InMemoryStorage()  # type: ignore[misc,assignment]  # nothing resumes
    surrogate = Surrogate("drawn")
    space = surrogate.space
    print(
        f"{surrogate.trials} recorded trials of {EPOCHS} epochs, best {surrogate.best_recorded:.1%}, median "
        f"{surrogate.median_recorded:.1%}; cross-validated R2 of the surrogate {surrogate.r2[0]:.2f} after epoch 1, "
        f"{surrogate.r2[-1]:.2f} after epoch {EPOCHS}"
    )
    with tempfile.TemporaryDirectory() as folder:

        def replays(name: str, target: float = 0.0) -> list[np.ndarray]:
            return [replay(WAYS[name], surrogate, space, n, new_folder(folder), target) for n in range(seeds)]

        at_random = np.array(replays("random"))
        goals = {part: float(np.median(at_random[:, spent - 1])) for part, spent in PARTS.items()}
        found = {name: replays(name, max(goals.values())) for name in WAYS}
    print(f"{seeds} seeds, {BUDGET} epochs each, {AT_ONCE} trials at once")
    for part, target in goals.items():
        print_needed(found, target, part)


def print_needed(found: dict[str, list[np.ndarray]], target: float, part: str) -> None:
    """Print how many epochs each way needed to reach what random search finds with ``part`` of the budget."""
    needed = {  # one that never got there counts as all it had
        name: np.array([int(np.argmax(best >= target)) + 1 if best[-1] >= target else len(best) for best in searches])
        for name, searches in found.items()
    }
    print(f"\ntarget: {target:.2%} validation accuracy, random search's median after {part}\n")
    heads = ("epochs to the target", "random / it", "stock / it")
    print(f"{'':28} {heads[0]:>24} {'mean':>5} missed {heads[1]:>20} {heads[2]:>20}  best at a third")
    for name, epochs in needed.items():
        low, high = interval(epochs, lambda values: float(np.median(values)))
        third = np.array([best[BUDGET // 3 - 1] for best in found[name]])
        lower, upper = interval(third, lambda values: float(values.mean()))
        print(
            f"{name:28} {statistics.median(epochs):9.0f} ({low:4.0f} to {high:4.0f}) {epochs.mean():5.0f}"
            f" {(epochs > BUDGET).sum():6}"
            f" {ratio(needed['random'], epochs):>20} {ratio(needed[STOCK], epochs):>20}"
            f" {third.mean():8.2%} ({lower:.2%} to {upper:.2%})"
        )
    never = {name: sum(best[-1] < target for best in searches) for name, searches in found.items()}
    print(f"not within {LIMIT} epochs either: " + (", ".join(f"{n} of {k}" for k, n in never.items() if n) or "none"))


def ratio(base: np.ndarray, epochs: np.ndarray) -> str:
    """Ratio of the mean epochs, with its interval over seeds."""
    low, high = interval(np.stack([base, epochs]), lambda values: float(values[0].mean() / values[1].mean()))
    return f"{base.mean() / epochs.mean():.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
