"""Made-up trials judged early, and refits of the best: how often what is told of them with an interval holds."""

from __future__ import annotations

import numpy as np
from scipy import stats

from analysis.statistics.choosing.luck import best_against_best
from analysis.statistics.choosing.ranks import rank_correlation
from analysis.statistics.uncertainty.intervals import wilson

KINDS = ("normal", "heavy tails", "a fifth fails")


def trials(kind: str, agreement: float, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``count`` trials have early, and at their end."""
    early = rng.normal(size=count)
    end = agreement * early + np.sqrt(1 - agreement**2) * rng.normal(size=count)
    if kind == "heavy tails":
        scale = np.sqrt(rng.chisquare(3, count) / 3)
        return early / scale, end / scale
    if kind == "a fifth fails":
        failed = rng.random(count) < 0.2
        return np.where(failed, 0.1 * early - 3, early), np.where(failed, 0.1 * end - 3, end)
    return early, end


def coverage(
    kind: str, agreement: float, count: int, experiments: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return how often the intervals hold the rank correlation, and the share of the best third that is lost early."""
    early, end = trials(kind, agreement, 200_000, rng)
    correlation = float(stats.spearmanr(early, end).statistic)
    lost = float((early <= np.quantile(early, 2 / 3))[end > np.quantile(end, 2 / 3)].mean())
    held = np.zeros(2)
    kept = count // 3
    for _ in range(experiments):
        early, end = trials(kind, agreement, count, rng)
        found = rank_correlation(early, end)
        assert found is not None
        missed = set(np.argsort(-end)[:kept]) - set(np.argsort(-early)[:kept])
        share = wilson(len(missed), kept)
        held += (found.low <= correlation <= found.high, share.low <= lost <= share.high)
    return float(held[0]) / experiments, float(held[1]) / experiments


def coverage_of_the_usual(kind: str, agreement: float, count: int, experiments: int, rng: np.random.Generator) -> float:
    """Return how often the interval by Bonett and Wright's formula (Psychometrika 65, 2000) holds the correlation."""
    early, end = trials(kind, agreement, 200_000, rng)
    correlation = float(stats.spearmanr(early, end).statistic)
    held = 0
    for _ in range(experiments):
        seen = float(stats.spearmanr(*trials(kind, agreement, count, rng)).statistic)
        half = 1.96 * np.sqrt((1 + seen**2 / 2) / (count - 3))
        held += abs(np.arctanh(np.clip(seen, -0.9999, 0.9999)) - np.arctanh(correlation)) <= half
    return held / experiments


def coverage_of_regret(cut: int, whole: int, seeds: int, apart: float, count: int, rng: np.random.Generator) -> float:
    """Return how often the interval of best against best holds the truth; configurations differ by ``apart``."""
    held = 0
    for _ in range(count):
        skills = [0.6 + rng.normal(0, apart, number) for number in (cut, whole)]
        values = [(skill[:, None] + rng.normal(0, 0.008, (len(skill), seeds))).tolist() for skill in skills]
        found = best_against_best(*values)
        assert found is not None
        held += found.low <= skills[0].max() - skills[1].max() <= found.high
    return held / count


def print_all(count: int) -> None:
    rng = np.random.default_rng(0)
    found = [
        coverage(kind, agreement, trials, count // 4, rng)
        for kind in KINDS
        for agreement in (0.0, 0.5, 0.8, 0.95)
        for trials in (20, 40)
    ]
    for name, own in zip(("rank correlation", "share of the best lost early"), zip(*found, strict=True), strict=True):
        print(f"{name}, 20 and 40 trials: covers {100 * min(own):.1f} to {100 * max(own):.1f} %")
    usual = [
        coverage_of_the_usual(kind, agreement, trials, count // 4, rng)
        for kind in KINDS
        for agreement in (0.0, 0.5, 0.8, 0.95)
        for trials in (20, 40)
    ]
    print(f"  by the usual formula the rank correlation: {100 * min(usual):.1f} to {100 * max(usual):.1f} %")
    held = [
        coverage_of_regret(cut, whole, seeds, apart, count, rng)
        for cut, whole in ((1, 1), (3, 3), (5, 8))
        for seeds in (2, 3, 5)
        for apart in (0.0, 0.005, 0.02)
    ]
    print(f"best of the stopped against best of the others: covers {100 * min(held):.1f} to {100 * max(held):.1f} %")
