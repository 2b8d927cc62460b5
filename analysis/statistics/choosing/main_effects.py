"""Which settings of trials that were drawn at random go with their outcome: shares, intervals and permutation tests.

A setting that was drawn without looking at any outcome is independent of all that it does not act on: shuffling the
outcomes among the trials is then an exact picture of chance.  Nothing of that holds for settings that a sampler chose
by earlier outcomes, nor for outcomes of those trials alone that early stopping let go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PERMUTATIONS = 1999  # p values in steps of 0.0005
_LEAST = 10  # trials that have a setting, for anything to be said of it: some have it under a condition only


@dataclass(frozen=True)
class Effect:
    """How much of the differences in the outcome's rank goes with one setting alone, and whether that is chance."""

    share: float  # adjusted for chance, in [0, 1]
    low: float  # the interval holds for all settings at once
    high: float
    p: float  # corrected for the number of settings


def main_effects(
    outcomes: Array,
    settings: list[NDArray[Any]],
    choices: list[bool],
    *,
    level: float = 0.95,
    permutations: int = PERMUTATIONS,
    rng_seed: int = 0,
) -> list[Effect]:
    """Return the effect of each setting.

    A number acts through a parabola (up, down, or best in between), a choice through its means; the outcomes count by
    rank, as some trials fail utterly.  The smallest of all p values is compared with those of shuffled outcomes
    (Westfall & Young, Resampling-Based Multiple Testing, 1993).  A setting that is found is taken out of the outcomes,
    as it would cover the others, and the rest are tested again.

    Args:
        outcomes: (N,) of trials whose settings were drawn at random; more is better or worse, all the same.
        settings: (N,) each; numbers on the scale that they were drawn on, or integer codes of choices; NaN where a
            trial has none.
        choices: which of them are choices.
        level: 1 - level is how often any setting may be found that does nothing; the intervals hold at it together.
        permutations: of the outcomes.
        rng_seed: makes the p values reproducible.
    """
    from scipy.stats import rankdata

    ranks = np.asarray(rankdata(outcomes), dtype=float)
    bases = [_basis(values, choice) for values, choice in zip(settings, choices, strict=True)]
    corrected = _stepwise(ranks, bases, 1 - level, permutations, np.random.default_rng(rng_seed))
    alone = 1 - (1 - level) / max(1, len(settings))
    found = []
    for basis, p in zip(bases, corrected, strict=True):
        if basis is None:
            found.append(Effect(0.0, 0.0, 1.0, 1.0))
            continue
        ratio, freedom, rest = _fit(ranks[:, None], basis)
        explained = float(ratio[0])
        share = max(0.0, 1 - (1 - explained) * (freedom + rest) / rest)
        low, high = _share_interval(explained, freedom, rest, alone)
        low = 0.0 if p >= 1 - level else low  # what is not shown may be none
        found.append(Effect(share, min(low, share), max(high, share), p))
    return found


Basis = tuple[NDArray[np.intp], Array]
"""The trials that have a setting, and orthonormal columns of what it may do, without their mean."""


def _basis(values: NDArray[Any], choice: bool) -> Basis | None:
    """Return the basis of a setting; None where too few trials have it, or all the same value."""
    known = np.flatnonzero(~np.isnan(values))
    own = values[known]
    kinds = np.unique(own)
    if len(known) < _LEAST or len(kinds) < 2:
        return None
    if choice or len(kinds) == 2:
        columns = (own[:, None] == kinds[None, 1:]).astype(float)
    else:
        scaled = (own - own.mean()) / own.std()
        columns = np.stack([scaled, scaled**2], axis=1)
    if columns.shape[1] >= len(known) - 2:
        return None
    return known, np.linalg.qr(columns - columns.mean(0))[0]


def _fit(outcomes: Array, basis: Basis) -> tuple[Array, int, int]:
    """Return the share of (N, B) outcomes' squares that a setting explains, (B,), and its degrees of freedom."""
    known, columns = basis
    own = outcomes[known] - outcomes[known].mean(0)
    total = (own**2).sum(0)
    explained = ((columns.T @ own) ** 2).sum(0)
    freedom = columns.shape[1]
    return np.divide(explained, total, out=np.zeros_like(total), where=total > 0), freedom, len(known) - 1 - freedom


def _tests(outcomes: Array, bases: list[Basis]) -> Array:
    """Return the p value of the F test of each setting, (settings, B): to put them on one scale, nothing more."""
    from scipy.special import fdtrc

    found = []
    for basis in bases:
        explained, freedom, rest = _fit(outcomes, basis)
        with np.errstate(divide="ignore"):
            found.append(fdtrc(freedom, rest, explained / freedom / ((1 - explained) / rest)))
    return np.array(found)


def _stepwise(
    ranks: Array, bases: list[Basis | None], alpha: float, permutations: int, rng: np.random.Generator
) -> list[float]:
    """Return the corrected p value of each setting; they never fall from one that is found to the next."""
    corrected = [1.0] * len(bases)
    left = [number for number, basis in enumerate(bases) if basis is not None]
    shuffles = np.stack([rng.permutation(len(ranks)) for _ in range(permutations)], axis=1)
    outcomes, last = ranks.copy(), 0.0
    while left:
        own: list[Basis] = [basis for number in left if (basis := bases[number]) is not None]
        seen = _tests(outcomes[:, None], own)[:, 0]
        smallest = _tests(outcomes[shuffles], own).min(0)
        p = (1 + (smallest[None] <= seen[:, None] * (1 + 1e-9)).sum(1)) / (permutations + 1)
        best = int(np.argmin(seen))
        last = max(last, float(p[best]))
        if last >= alpha:
            for number, value in zip(left, p, strict=True):
                corrected[number] = max(last, float(value))
            break
        corrected[left[best]] = last
        known, columns = own[best]
        outcomes[known] -= columns @ (columns.T @ (outcomes[known] - outcomes[known].mean()))
        left.pop(best)
    return corrected


def _share_interval(explained: float, freedom: int, rest: int, level: float) -> tuple[float, float]:
    """Return the interval of a share of variance by inverting the noncentral F (Steiger, Psychol. Methods 9, 2004)."""
    from scipy.optimize import brentq
    from scipy.stats import ncf

    seen = explained / freedom / max((1 - explained) / rest, 1e-12)
    count = freedom + rest + 1

    def beyond(centre: float, place: float) -> float:
        return float(ncf.cdf(seen, freedom, rest, centre)) - place

    def bound(place: float) -> float:
        if beyond(0.0, place) <= 0:
            return 0.0
        above = float(count)
        while beyond(above, place) > 0:
            above *= 2
            if above > 1000 * count:
                return 1.0
        centre = float(brentq(beyond, 0.0, above, args=(place,), xtol=1e-3 * count))  # to a tenth of a per cent
        return centre / (centre + count)

    return bound(0.5 + level / 2), bound(0.5 - level / 2)
