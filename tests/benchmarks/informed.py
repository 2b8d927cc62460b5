"""Whether a search needs fewer epochs where its sampler is told what earlier searches found, on other faces.

    python tests/benchmarks/informed.py [--sampler gp] [--seeds 30] [--workers 2] [TABLE ...]

replays searches on each recorded table (`surrogate.py`).  Earlier searches, of :data:`EARLIER` epochs each by the same
sampler, are replayed on all other tables: other networks and other images.  Four ways are compared: nothing is known;
the best three of each earlier search are the first trials, as `--warm-start` has it; their trials inform the sampler;
or both.

How it is told of them is in `fer_tune.search.proposing.informing`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from efficiency import BUDGET, LIMIT, SEEDS, epochs_to, ratio, shown
from optuna.trial import TrialState
from replaying import drive, quietly
from surrogate import EPOCHS, HERE, TABLES, Surrogate
from ways import RANDOM, WAYS, asha, ours

from fer_tune.kinds import Sampler
from fer_tune.run_folder import Candidate, EarlierSearch, EarlierTrial, RunFolder
from fer_tune.search.proposing.informing import MOST, fitting, ranks
from fer_tune.search.proposing.searcher import StudySearcher
from fer_tune.search.spaces.space import SearchSpace

EARLIER = (
    180  # epochs of an earlier search: what a search of today needs for a good setting on the tables that are there
)
TOP = 3  # of each earlier search are tried first, as `--warm-start-top` has it
NOTHING, FIRST, SAMPLER, BOTH = "nothing known", "its first trials", "its sampler", "both"


@cache
def earlier(table: str, seed: int, sampler: Sampler) -> EarlierSearch:
    """Return what is told of an earlier search on a table."""
    surrogate, space = _surrogates[table], _surrogates[table].space
    with tempfile.TemporaryDirectory() as folder:
        searcher: Any = ours(sampler, known=False)(space, seed, Path(folder))
        drive(searcher, asha(2, 3), surrogate.curve, seed, EARLIER)
        trials = [trial for trial in searcher._study(space.backbone).get_trials() if trial.state.is_finished()]
    beats = ranks([(trial.state == TrialState.COMPLETE, *max(trial.intermediate_values.items())) for trial in trials])
    told = [EarlierTrial(settings=trial.params, beats=share) for trial, share in zip(trials, beats, strict=True)]
    return EarlierSearch(
        run=table,
        backbone=space.backbone,
        trials=[told[index] for index in np.random.default_rng(seed).permutation(len(told))[:MOST]],
    )


def searcher_of(
    way: str, space: SearchSpace, searches: list[EarlierSearch], seed: int, folder: Path, sampler: Sampler
) -> StudySearcher:
    """Return the searcher of one of the four ways."""
    first: list[Candidate] = []
    if way in (FIRST, BOTH):
        best = [sorted(search.trials, key=lambda trial: -trial.beats)[:TOP] for search in searches]
        configs = [fitting(space, each[rank].settings) for rank in range(TOP) for each in best]
        first = [Candidate(name=f"{number}", config=config) for number, config in enumerate(configs)]
        first = [each for each in first if space.enqueue_values(each.config)]  # the surrogate knows of no others
    informed_by = searches if way in (SAMPLER, BOTH) else []
    run, spaces = RunFolder(folder), {space.backbone: space}
    return StudySearcher(spaces, {space.backbone: first}, 10_000, EPOCHS, seed, run, sampler, informed_by=informed_by)


_surrogates: dict[str, Surrogate] = {}  # of a process


def _begin(surrogates: dict[str, Surrogate]) -> None:
    _surrogates.update(surrogates)
    quietly()


def _replayed(task: tuple[str, str, int, float, Sampler]) -> np.ndarray:
    way, table, seed, target, sampler = task
    surrogate = _surrogates[table]
    with tempfile.TemporaryDirectory() as folder:
        if way == RANDOM:
            searcher = WAYS[RANDOM].searcher(surrogate.space, seed, Path(folder))
            return drive(searcher, WAYS[RANDOM].scheduler(), surrogate.curve, seed, BUDGET)
        searches = [earlier(other, 1_000 + seed, sampler) for other in _surrogates if other != table]
        searcher = searcher_of(way, surrogate.space, searches, seed, Path(folder), sampler)
        return drive(searcher, asha(2, 3), surrogate.curve, seed, 1, target=target, limit=LIMIT)


def main() -> None:
    recorded = [name for name in TABLES if (HERE / f"{name}.parquet").is_file()]
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("tables", nargs="*", metavar="TABLE", help=f"{', '.join(recorded)}; all by default")
    asked.add_argument("--sampler", choices=("gp", "tpe"), default="gp")
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
            at_random = pool.map(_replayed, [(RANDOM, table, seed, 0.0, given.sampler) for seed in seeds])
            target = float(np.median([best[-1] for best in at_random]))
            print(f"\n{table}, informed by {', '.join(each for each in recorded if each != table)}; to {target:.2%}")
            needed = {}
            for way in (NOTHING, FIRST, SAMPLER, BOTH):
                found = pool.imap(_replayed, [(way, table, seed, target, given.sampler) for seed in seeds])
                needed[way] = np.array([epochs_to(best, target) for best in found])
                shown(way, needed[way])
            for base, way in ((NOTHING, FIRST), (NOTHING, SAMPLER), (NOTHING, BOTH), (FIRST, BOTH)):
                print(f"{base} / {way}: {ratio(needed[base], needed[way])}", flush=True)


if __name__ == "__main__":
    main()
