"""Whether a search needs fewer epochs where its sampler is told what earlier searches found, on other faces.

    python tests/benchmarks/informed.py [--seeds 30] [--workers 2] [TABLE ...]

replays searches on each recorded table (`surrogate.py`).  Earlier searches, of :data:`EARLIER` epochs each by the
engine's default, are replayed on all other tables: other networks and other images.  Four ways are compared: nothing is
known; the best three of each earlier search are the first trials, as `--warm-start` has it; their trials inform TPE; or
both.

TPE splits trials into good ones and the rest.  Earlier trials count among them with the share of the trials of their
own search that they beat, since accuracies on different images say nothing about each other, and settings that a space
lacks are left out.  They fade: for each own trial one of each earlier search goes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from efficiency import BUDGET, LIMIT, SEEDS, epochs_to, ratio, shown
from optuna.trial import FrozenTrial, TrialState, create_trial
from replaying import drive, quietly
from surrogate import EPOCHS, HERE, TABLES, Surrogate
from ways import RANDOM, WAYS, Retold, asha, counted, ours

from fer_tune.config import TrialConfig
from fer_tune.run_folder import Candidate, RunFolder
from fer_tune.search.proposing.samplers import _distribution
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.space import SearchSpace

EARLIER = (
    180  # epochs of an earlier search: what a search of today needs for a good setting on the tables that are there
)
TOP = 3  # of each earlier search are tried first, as `--warm-start-top` has it
NOTHING, FIRST, SAMPLER, BOTH = "nothing known", "its first trials", "its sampler", "both"


@dataclass(frozen=True)
class Known:
    """A trial of an earlier search."""

    settings: dict[str, Any]
    beats: float  # share of the other trials of its search, less the share that beat it


def ranked(trials: list[FrozenTrial]) -> list[float]:
    """Return what each trial beats, from -1 to 1, in the order that TPE has them in by itself."""

    def order(trial: FrozenTrial) -> tuple[bool, int, float]:
        last = max(trial.intermediate_values)
        return trial.state == TrialState.COMPLETE, last, trial.intermediate_values[last]

    places = np.empty(len(trials))
    places[sorted(range(len(trials)), key=lambda index: order(trials[index]))] = np.arange(len(trials))
    return [float(place) for place in 2 * (places + 0.5) / len(trials) - 1]


@cache
def earlier(table: str, seed: int) -> list[Known]:
    """Return the trials of an earlier search on a table, in random order."""
    surrogate, space = _surrogates[table], _surrogates[table].space
    with tempfile.TemporaryDirectory() as folder:
        searcher: Any = ours(known=False)(space, seed, Path(folder))
        drive(searcher, asha(2, 3), surrogate.curve, seed, EARLIER)
        trials = [trial for trial in searcher._study(space.backbone).get_trials() if trial.state.is_finished()]
    known = [Known({**space.fixed, **each.params}, beats) for each, beats in zip(trials, ranked(trials), strict=True)]
    return [known[index] for index in np.random.default_rng(seed).permutation(len(known))]


def fitting(space: SearchSpace, known: Known) -> dict[str, Any]:
    """Return the searched settings of an earlier trial that a space could have drawn; a missing one has its default."""
    default = {name: TrialConfig.model_fields[name].default for name in space.parameters}
    settings = {**default, **known.settings}
    return {
        name: settings[name]
        for name in space.order
        if space.parameters[name].applies(settings) and space.parameters[name].contains(settings[name])
    }


class Informed(Retold):
    """Ours, but TPE learns from earlier searches too."""

    def __init__(self, searches: list[list[Known]], spaces: dict[str, SearchSpace], *arguments: Any) -> None:
        (space,) = spaces.values()
        kinds = {name: _distribution(parameter) for name, parameter in space.parameters.items()}
        self._searches = [[_trial(fitting(space, known), kinds, known.beats) for known in each] for each in searches]
        super().__init__(spaces, *arguments)

    def retelling(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:  # type: ignore[override]
        """Own trials with what they beat among themselves, behind what has not faded of earlier ones."""
        ended = [trial for trial in trials if trial.state.is_finished()]
        running = [trial for trial in trials if not trial.state.is_finished()]
        own = [counted(trial, beats) for trial, beats in zip(ended, ranked(ended), strict=True)]
        return [*(known for each in self._searches for known in each[len(ended) :]), *own, *running]


def _trial(params: dict[str, Any], kinds: dict[str, Any], value: float) -> FrozenTrial:
    kinds = {name: kinds[name] for name in params}
    return create_trial(state=TrialState.COMPLETE, value=value, params=params, distributions=kinds)  # its number is -1


def searcher_of(way: str, space: SearchSpace, searches: list[list[Known]], seed: int, folder: Path) -> StudySearcher:
    """Return the searcher of one of the four ways."""
    first: list[Candidate] = []
    if way in (FIRST, BOTH):
        best = [sorted(each, key=lambda known: -known.beats)[:TOP] for each in searches]
        configs = [fitting(space, each[rank]) for rank in range(TOP) for each in best]
        first = [Candidate(name=f"{number}", config=config) for number, config in enumerate(configs)]
        first = [each for each in first if space.enqueue_values(each.config)]  # what the surrogate knows nothing of
    made: Any = partial(Informed, searches) if way in (SAMPLER, BOTH) else StudySearcher
    return made({space.backbone: space}, {space.backbone: first}, 10_000, EPOCHS, seed, RunFolder(folder), "tpe")


_surrogates: dict[str, Surrogate] = {}  # of a process


def _begin(surrogates: dict[str, Surrogate]) -> None:
    _surrogates.update(surrogates)
    quietly()


def _replayed(task: tuple[str, str, int, float]) -> np.ndarray:
    way, table, seed, target = task
    surrogate = _surrogates[table]
    with tempfile.TemporaryDirectory() as folder:
        if way == RANDOM:
            searcher = WAYS[RANDOM].searcher(surrogate.space, seed, Path(folder))
            return drive(searcher, WAYS[RANDOM].scheduler(), surrogate.curve, seed, BUDGET)
        searches = [earlier(other, 1_000 + seed) for other in _surrogates if other != table]
        searcher = searcher_of(way, surrogate.space, searches, seed, Path(folder))
        return drive(searcher, asha(2, 3), surrogate.curve, seed, 1, target=target, limit=LIMIT)


def main() -> None:
    recorded = [name for name in TABLES if (HERE / f"{name}.parquet").is_file()]
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("tables", nargs="*", metavar="TABLE", help=f"{', '.join(recorded)}; all by default")
    asked.add_argument("--seeds", type=int, default=SEEDS)
    asked.add_argument("--workers", type=int, help="processes; one a core by default")
    given = asked.parse_args()
    if unknown := sorted({*given.tables} - {*recorded}):
        asked.error(f"{', '.join(unknown)}: not one of {', '.join(recorded)}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    surrogates = {name: Surrogate(name) for name in recorded}
    seeds = range(given.seeds)
    with multiprocessing.Pool(given.workers or os.cpu_count(), _begin, (surrogates,)) as pool:
        for table in given.tables or recorded:
            at_random = pool.map(_replayed, [(RANDOM, table, seed, 0.0) for seed in seeds])
            target = float(np.median([best[-1] for best in at_random]))
            print(f"\n{table}, informed by {', '.join(each for each in recorded if each != table)}; to {target:.2%}")
            needed = {}
            for way in (NOTHING, FIRST, SAMPLER, BOTH):
                found = pool.imap(_replayed, [(way, table, seed, target) for seed in seeds])
                needed[way] = np.array([epochs_to(best, target) for best in found])
                shown(way, needed[way])
            for base, way in ((NOTHING, FIRST), (NOTHING, SAMPLER), (NOTHING, BOTH), (FIRST, BOTH)):
                print(f"{base} / {way}: {ratio(needed[base], needed[way])}", flush=True)


if __name__ == "__main__":
    main()
