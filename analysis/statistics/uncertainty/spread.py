"""How far a value may be from the truth: bounds at any level, and the p value of zero.

Two kinds, with the same methods: draws, where a bootstrap gives the whole distribution, and variances with few degrees
of freedom, where it cannot.  In both the interval leaves out zero exactly where the p value is below 1 - level, so that
no sentence can contradict its interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit  # scipy.stats takes seconds to import

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Drawn:
    """A value with draws of where it may be, (B, ...)."""

    value: Array
    draws: Array

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Return the percentiles of the draws, the order statistics that agree with `p`."""
        count = len(self.draws)
        place = math.ceil((1 - level) / 2 * (count + 1) - 1 - 1e-9) - 1  # a hair less: levels are no exact numbers
        if place < 0:  # so few draws show nothing at that level
            return np.full_like(self.value, -np.inf), np.full_like(self.value, np.inf)
        ordered = np.sort(self.draws, axis=0)
        return ordered[place], ordered[count - 1 - place]

    def p(self) -> Array:
        """Return the two-sided p value of zero."""
        below, above = (self.draws <= 0).sum(0), (self.draws >= 0).sum(0)
        found: Array = np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (len(self.draws) + 1))
        return found


@dataclass(frozen=True)
class Varying:
    """A value with independent variances, each known with few degrees of freedom; Student's t.

    The sum has Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946).  Where one part has one or two and
    another many, these tell too little, so an interval is at least as wide as that of each part alone: in simulation
    (`tests/analysis/simulation.py`) this covers 94 to 99 % where Satterthwaite alone covers 88 to 97.

    Args:
        value: the metric, (...).
        parts: the variances and their degrees of freedom, each (...) or a number; 0 degrees: nothing is known.
    """

    value: Array
    parts: list[tuple[Any, Any]]

    def interval(self, level: float = 0.95) -> tuple[Array, Array]:
        """Return the bounds, infinite where a part has no degree of freedom."""
        half = np.zeros_like(self.value)
        for scale, freedom in self._scales():
            with np.errstate(invalid="ignore"):  # 0 times infinity: no degree of freedom, and no variance seen
                own = stdtrit(np.maximum(freedom, 1), 0.5 + level / 2) * scale
            half = np.maximum(half, np.where(freedom > 0, own, np.inf))
        return self.value - half, self.value + half

    def p(self) -> Array:
        """Return the two-sided p value of zero."""
        found = np.zeros_like(self.value)
        for scale, freedom in self._scales():
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.nan_to_num(np.abs(self.value) / scale, nan=0.0, posinf=np.inf)  # 0 of 0 is no difference
            found = np.maximum(found, np.where(freedom > 0, 2 * stdtr(np.maximum(freedom, 1), -ratio), 1.0))
        return found

    def _scales(self) -> list[tuple[Array, Array]]:
        """Return (standard error, degrees of freedom) of the sum and of each part."""
        parts = [(np.asarray(v, dtype=float), np.asarray(f, dtype=float)) for v, f in self.parts]
        total = sum((v for v, _ in parts), np.zeros_like(self.value))
        lower = sum((v**2 / np.maximum(f, 1) for v, f in parts), np.zeros_like(self.value))
        freedom = np.divide(total**2, lower, out=np.full_like(self.value, 1e9), where=lower > 0)
        return [(np.sqrt(total), freedom), *((np.sqrt(v), f) for v, f in parts)]


Spread = Drawn | Varying
"""What is known of a metric of shape (...); every array that its methods return has that shape."""
