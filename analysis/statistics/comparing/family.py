"""Statements that are told together: what each one's p value is worth among them, and the level of their intervals.

Both are corrected by the same rule, so an interval leaves out zero exactly where its corrected p value is below 0.05,
and all intervals of a family hold at once in 95 % of the cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.results import ALPHA


@dataclass(frozen=True)
class Family:
    """A family of ``count`` statements, corrected by Bonferroni's method unless their joint draws are known.

    Attributes:
        count: of the statements.
        smallest: (B,) sorted: the smallest p value that a family has by chance, from `together`.
    """

    count: int
    smallest: NDArray[Any] | None = None

    def corrected(self, p: float) -> float:
        """Return how often the smallest p value of such a family is as small as ``p`` by chance."""
        if self.smallest is None:
            return min(1.0, p * self.count)
        return float((1 + np.searchsorted(self.smallest, p * (1 + 1e-9), side="right")) / (len(self.smallest) + 1))

    @property
    def level(self) -> float:
        """The level of each interval: one leaves out zero where ``corrected(p) < ALPHA``."""
        if self.smallest is None:
            return 1 - ALPHA / max(1, self.count)
        steps = np.arange(1, len(self.smallest) + 1) * 2 / (len(self.smallest) + 1)  # the p values that draws can give
        low, high = 0, len(steps) - 1
        while low < high:  # the first of them that is not below ALPHA when it is corrected
            middle = (low + high) // 2
            low, high = (low, middle) if self.corrected(float(steps[middle])) >= ALPHA else (middle + 1, high)
        return 1 - float(steps[low])


def together(draws: list[NDArray[Any]]) -> Family:
    """Return the family of several differences whose draws, (B,) each, belong together row by row.

    Differences that rise and fall with each other, as accuracy and macro F1 do, cost each other little (the single-step
    minP of Westfall & Young, Resampling-Based Multiple Testing, 1993; Beran, J. Am. Stat. Assoc. 83, 1988).
    """
    count = len(draws[0])
    smallest = np.full(count, np.inf)
    for each in draws:
        rank = np.argsort(np.argsort(each, kind="stable"), kind="stable") + 1
        smallest = np.minimum(smallest, 2 * np.minimum(rank, count + 1 - rank) / (count + 1))
    return Family(len(draws), np.sort(smallest))
