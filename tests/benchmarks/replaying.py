"""A search replayed on recorded learning curves: what stops and goes on in it, and how many epochs it takes.

A replay drives a searcher and a scheduler as Tune does, with :data:`AT_ONCE` trials side by side whose epochs take the
same time but for a few per cent.  Beside Tune's schedulers it knows two that pause trials and go on with them later,
from the checkpoint that a real search would have: :class:`Halving` and :class:`Promotion`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import warnings
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
from optuna.storages import InMemoryStorage
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

import fer_tune.search.proposing.studies as studies
from fer_tune.objectives import ACCURACY

AT_ONCE = 4


class Pausing:
    """A base for schedulers that pause trials: no trial is ever stopped."""

    def on_trial_add(self, controller: None, trial: Any) -> None:
        """As in Tune."""

    def on_trial_complete(self, controller: None, trial: Any, result: dict[str, Any]) -> None:
        """As in Tune."""

    def on_trial_result(self, controller: None, trial: Any, result: dict[str, Any]) -> str:
        """As in Tune."""
        return TrialScheduler.PAUSE if self.pauses(trial, result["epoch"], result[ACCURACY.best]) else "CONTINUE"

    def pauses(self, trial: Any, epoch: int, value: float) -> bool:
        """Take up a result, and return whether the trial pauses there."""
        raise NotImplementedError

    def thawed(self) -> Any:
        """Return a paused trial that goes on, or None where a new one is to begin."""
        raise NotImplementedError


class Halving(Pausing):
    """Synchronous successive halving: so many trials for so many epochs, the best of them for more, and so forth.

    Karnin et al. (2013), Jamieson and Talwalkar (2016).  ``[(20, 1), (2, 9)]`` is the rule of one epoch (arXiv
    2307.15422): of twenty trials the best two go on to the end.  With several brackets in turn it is Hyperband
    (Li et al. 2018).  Trials that begin before a bracket is full of results belong to the next one.
    """

    def __init__(self, *brackets: Sequence[tuple[int, int]]) -> None:
        self._turn = itertools.cycle(brackets)
        self._filling: dict[str, Any] = self._new()
        self._of: dict[str, dict[str, Any]] = {}
        self._waiting: list[Any] = []

    def _new(self) -> dict[str, Any]:
        return {"plan": list(next(self._turn)), "begun": 0, "level": 0, "here": []}

    def on_trial_add(self, controller: None, trial: Any) -> None:
        """Put it into the bracket that is being filled."""
        if self._filling["begun"] == self._filling["plan"][0][0]:
            self._filling = self._new()
        self._filling["begun"] += 1
        self._of[trial.trial_id] = self._filling

    def pauses(self, trial: Any, epoch: int, value: float) -> bool:
        """See `Pausing`."""
        bracket = self._of[trial.trial_id]
        count, until = bracket["plan"][bracket["level"]]
        if epoch < until:
            return False
        bracket["here"].append((value, trial))
        if len(bracket["here"]) == count:
            bracket["level"] += 1
            best = sorted(bracket["here"], key=lambda each: -each[0])
            self._waiting += [each for _, each in best[: bracket["plan"][bracket["level"]][0]]]
            bracket["here"] = []
        return True

    def thawed(self) -> Any:
        """See `Pausing`."""
        return self._waiting.pop(0) if self._waiting else None


class Promotion(Pausing):
    """Asynchronous successive halving as Li et al. (2020) have it: it pauses at each rung, and goes on if it is among
    the best ``1 / factor`` there, as soon as there is room.
    """

    def __init__(self, first: int, factor: int, epochs: int) -> None:
        self._factor = factor
        self._rungs: dict[int, dict[str, float]] = {}
        self._gone_on: dict[int, set[str]] = {}
        self._trials: dict[str, Any] = {}
        while first < epochs:
            self._rungs[first], self._gone_on[first] = {}, set()
            first *= factor

    def pauses(self, trial: Any, epoch: int, value: float) -> bool:
        """See `Pausing`."""
        self._trials[trial.trial_id] = trial
        if epoch in self._rungs:
            self._rungs[epoch][trial.trial_id] = value
        return epoch in self._rungs

    def thawed(self) -> Any:
        """See `Pausing`."""
        for epoch in reversed(self._rungs):
            here = self._rungs[epoch]
            for name in sorted(here, key=lambda each: -here[each])[: len(here) // self._factor]:
                if name not in self._gone_on[epoch]:
                    self._gone_on[epoch].add(name)
                    return self._trials[name]
        return None


def drive(
    searcher: Searcher,
    scheduler: Any,
    curve: Callable[[dict[str, Any]], np.ndarray],
    seed: int,
    least: int,
    target: float = 0.0,
    limit: int = 0,
    noise: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
) -> np.ndarray:
    """Return (epochs,) the best accuracy reached after each epoch spent.

    Args:
        searcher: suggests settings.
        scheduler: stops trials, or pauses them.
        curve: settings -> (epochs,) accuracies.
        seed: of the order in which epochs end, and of the noise.
        least: epochs of all trials together, at least.
        target: accuracy; a search that has not reached it goes on, to ``limit`` epochs at most.
        limit: see there.
        noise: a trial's curve -> what is seen of it.  It sways what is decided; what counts as reached is the curve.
    """
    rng, swayed = np.random.default_rng(seed), np.random.default_rng(seed)
    numbers = itertools.count()
    events: list[tuple[float, int]] = []
    running: dict[int, tuple[Any, np.ndarray, np.ndarray, list[float]]] = {}

    def start(now: float) -> None:
        trial = scheduler.thawed() if isinstance(scheduler, Pausing) else None
        if trial is not None:
            number = int(trial.trial_id)
        else:
            number = next(numbers)
            settings = searcher.suggest(f"{number:08d}")
            assert isinstance(settings, dict)
            trial = SimpleNamespace(trial_id=f"{number:08d}", config=settings)
            scheduler.on_trial_add(None, trial)
            true = curve(trial.config)
            running[number] = (trial, true, true if noise is None else noise(true, swayed), [])
        heapq.heappush(events, (now + rng.uniform(0.95, 1.05), number))

    for _ in range(AT_ONCE):
        start(0.0)
    best: list[float] = []
    while len(best) < least or (best[-1] < target and len(best) < limit):
        now, number = heapq.heappop(events)
        trial, true, values, seen = running[number]
        best.append(max(float(true[len(seen)]), best[-1] if best else 0.0))
        seen.append(float(values[len(seen)]))
        result = {
            "epoch": len(seen),
            "training_iteration": len(seen),
            "val_accuracy": seen[-1],
            ACCURACY.best: max(seen),
            "finished": len(seen) == len(true),
        }
        said = TrialScheduler.STOP if result["finished"] else scheduler.on_trial_result(None, trial, result)
        if said == TrialScheduler.STOP:
            scheduler.on_trial_complete(None, trial, result)
            searcher.on_trial_complete(trial.trial_id, result=result)  # Tune passes a trial's last result here alone
            del running[number]
        else:
            searcher.on_trial_result(trial.trial_id, result)
        if said == TrialScheduler.CONTINUE:
            heapq.heappush(events, (now + rng.uniform(0.95, 1.05), number))
        else:
            start(now)
    return np.array(best)


def quietly() -> None:
    """Have nobody but the benchmark speak, and nothing written that a resume would need: half of the time is that."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    assert hasattr(studies, "JournalStorage"), "elsewhere now; what is set here would be without effect"
    studies.JournalStorage = lambda backend: InMemoryStorage()  # type: ignore[misc,assignment]
