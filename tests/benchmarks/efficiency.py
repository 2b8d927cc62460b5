"""Epochs that a search needs to find a good setting: rules without a model, Ray's stock Optuna with ASHA, and ours.

    python tests/benchmarks/efficiency.py [--table fer2013] [--noise] [--seeds 30] [--workers 2] [WAY ...]

replays searches on a surrogate of real learning curves (`surrogate.py`); no network is trained.  The surrogate is
smooth; ``--noise`` adds to what a search sees of a trial what recorded trials lie apart by.

The target is what half of the random searches have found at the end of their budget.  A search that has not reached it
when that is spent goes on until it has, or what it needs would count as less than it is.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from replaying import AT_ONCE, drive, quietly
from surrogate import EPOCHS, TABLES, Surrogate
from ways import RANDOM, WAYS

BUDGET = 60 * EPOCHS  # epochs of one replayed search: 60 trials that are never stopped
LIMIT = 3 * BUDGET  # of one that goes on
SEEDS = 30


class Search(NamedTuple):
    """One to be replayed; see `drive`."""

    way: str
    seed: int
    least: int = 1
    target: float = 0.0


Replays = Callable[[list[Search]], Iterator[np.ndarray]]


@contextmanager
def side_by_side(surrogate: Surrogate, noise: bool = False, workers: int | None = None) -> Iterator[Replays]:
    """Give a function that replays searches in processes of their own, and yields (epochs,) the best so far of each.

    They come in the order in which they are asked for; what a search finds depends on nothing but its way and seed.

    Args:
        surrogate: what they search on.
        noise: whether they see it through the noise of other seeds.
        workers: processes; one a core by default.
    """
    with multiprocessing.Pool(workers or os.cpu_count(), _begin, (surrogate, noise)) as pool:
        yield lambda searches: pool.imap(_replayed, searches)


_at_hand: tuple[Surrogate, bool]  # of a process: what it replays on


def _begin(surrogate: Surrogate, noise: bool) -> None:
    global _at_hand
    _at_hand = (surrogate, noise)
    quietly()


def _replayed(search: Search) -> np.ndarray:
    surrogate, noise = _at_hand
    way = WAYS[search.way]
    with tempfile.TemporaryDirectory() as folder:
        return drive(
            way.searcher(surrogate.space, search.seed, Path(folder)),
            way.scheduler(),
            surrogate.curve,
            search.seed,
            search.least,
            target=search.target,
            limit=LIMIT,
            noise=surrogate.noisy if noise else None,
        )


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
    asked.add_argument("--workers", type=int, help="processes; one a core by default")
    given = asked.parse_args()
    if unknown := sorted({*given.ways} - WAYS.keys()):
        asked.error(f"{', '.join(unknown)}: not one of {'; '.join(WAYS)}")
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
    seeds = range(given.seeds)
    with side_by_side(surrogate, given.noise, given.workers) as replays:
        target = target_of(replays, given.seeds)
        print(f"target: {target:.2%} validation accuracy, random search's median after {BUDGET} epochs")
        print(f"{given.seeds} seeds, {AT_ONCE} trials at once, searches of {LIMIT} epochs at most\n", flush=True)
        names = list(dict.fromkeys([RANDOM, *(given.ways or WAYS)]))
        found = replays([Search(name, seed, target=target) for name in names for seed in seeds])
        needed = {}
        for name in names:
            needed[name] = np.array([epochs_to(next(found), target) for _ in seeds])
            shown(name, needed[name])
    print_ratios(needed)


def target_of(replays: Replays, seeds: int) -> float:
    """Return what half of the random searches have found at the end of their budget."""
    return float(np.median([best[-1] for best in replays([Search(RANDOM, seed, BUDGET) for seed in range(seeds)])]))


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
