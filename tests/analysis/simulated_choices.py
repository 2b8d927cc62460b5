"""Made-up choices of the best of many: what luck they pick up, and what of it is told."""

from __future__ import annotations

import numpy as np

from analysis.statistics.choosing.luck import luck_of_choosing

NOISE = 0.008  # of a seed
KINDS = [(40, 5, 3, 0.005), (60, 8, 3, 0.003), (20, 3, 5, 0.01)]
"""Trials, refitted ones, seeds, and how far the configurations differ."""


def told_luck(
    trials: int, top: int, seeds: int, spread: float, count: int, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Return the mean true luck, what is told, what the winner's own mean would tell, and the interval's coverage."""
    rows = []
    for _ in range(count):
        skill = 0.6 + rng.normal(0, spread, trials)
        searched = skill + rng.normal(0, NOISE, trials)
        refitted = np.argsort(-searched)[:top]
        refits = skill[refitted, None] + rng.normal(0, NOISE, (top, seeds))
        winner = refits.mean(1).argmax()
        true = searched[refitted[winner]] - skill[refitted[winner]]
        found = luck_of_choosing(searched[refitted], refits)
        assert found is not None
        own = searched[refitted[winner]] - refits[winner].mean()
        rows.append((true, found.estimate, own, found.low <= true <= found.high))
    true, told, own, held = np.mean(rows, axis=0)
    return float(true), float(told), float(own), float(held)


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    for trials, top, seeds, spread in KINDS:
        true, told, own, held = told_luck(trials, top, seeds, spread, count, rng)
        print(
            f"best of {trials}, {top} refitted with {seeds} seeds: {100 * true:.2f} points of luck, told "
            f"{100 * told:.2f} (by the winner's own mean {100 * own:.2f}), covered in {100 * held:.1f} %"
        )
