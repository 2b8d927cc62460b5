"""How far probabilities are what they say: a calibration error without the bias of few images, and Brier's parts.

A calibration error compares, bin by bin, the mean probability with the share of images of which it came true.  That
share is uncertain, so the plain error is above zero for perfect probabilities too: 5.8 % where the labels of 400 images
were drawn from them.  The square of the distance has a bias that can be taken out (Kumar, Liang & Ma, Verified
Uncertainty Calibration, NeurIPS 2019; Ferro & Fricker, Q. J. R. Meteorol. Soc. 138, 2012); here by the jackknife over
what is sampled (Busing, Meijer & van der Leeden, Statistics and Computing 9, 1999), which does the same for groups of
images that are alike.  What is told is the root of the mean square, of bins of equal numbers of images (Roelofs et al.,
Mitigating Bias in Calibration Error Estimation, AISTATS 2022).  Within a bin errors may cancel out, so it is a lower
bound of the error of each probability.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.results import Estimate
from analysis.statistics.uncertainty.sampling import Groups, Sampling

Array = NDArray[np.float64]

BINS = 15
"""At most: as in Guo et al., On Calibration of Modern Neural Networks, ICML 2017."""

_IMAGES_OF_A_BIN = 10
"""At least, so that leaving some out empties no bin."""

ERRORS = ("calibration_error", "classwise_calibration_error")
"""Roots of mean squares; all other names are means themselves."""


def calibration(labels: NDArray[Any], probabilities: NDArray[Any], sampling: Sampling) -> dict[str, Estimate]:
    """Return every measure with its interval, for new images (or groups) and new seeds.

    Args:
        labels: (N,) integer classes.
        probabilities: (S, N, C), a block per seed.
        sampling: what the images are a sample of.

    Returns:
        ``calibration_error``: of the predicted class.  ``classwise_calibration_error``: of the probabilities of each
        class, their squares averaged over the classes.  ``brier_reliability``, ``brier_resolution`` and
        ``brier_uncertainty``: the Brier score is the first less the second plus the third, summed over the classes;
        what varies within bins is a part of the resolution (Stephenson, Coelho & Jolliffe, Weather and Forecasting 23,
        2008).
    """
    groups = sampling if isinstance(sampling, Groups) else Groups(np.arange(len(labels)), sampling.rng_seed)
    found = [_of_seed(labels, each, groups) for each in probabilities]
    return {
        name: _estimate(np.stack([each[name] for each in found], axis=1), groups, root=name in ERRORS)
        for name in found[0]
    }


def calibration_errors(labels: NDArray[Any], probabilities: NDArray[Any], sampling: Sampling) -> list[Estimate]:
    """Return for each class the calibration error of its probabilities."""
    groups = sampling if isinstance(sampling, Groups) else Groups(np.arange(len(labels)), sampling.rng_seed)
    found = []
    for label in range(probabilities.shape[-1]):
        each = [_Binned(seed[:, label], labels == label, groups).reliability for seed in probabilities]
        found.append(_estimate(np.stack(each, axis=1), groups, root=True))
    return found


def _of_seed(labels: NDArray[Any], probabilities: NDArray[Any], groups: Groups) -> dict[str, Array]:
    """Return the measures of one seed, (1 + G,): of all images, and without each group; squares of the errors."""
    top = _Binned(probabilities.max(-1), probabilities.argmax(-1) == labels, groups)
    classes = [_Binned(probabilities[:, c], labels == c, groups) for c in range(probabilities.shape[-1])]
    reliability, uncertainty, brier = (
        np.sum([getattr(each, name) for each in classes], axis=0) for name in ("reliability", "uncertainty", "brier")
    )
    return {
        "calibration_error": top.reliability,
        "classwise_calibration_error": reliability / len(classes),
        "brier_reliability": reliability,
        "brier_resolution": reliability + uncertainty - brier,
        "brier_uncertainty": uncertainty,
    }


class _Binned:
    """Probabilities of one event and whether it came true, on all images and without each group: every (1 + G,)."""

    def __init__(self, scores: NDArray[Any], true: NDArray[np.bool_], groups: Groups) -> None:
        bins = min(BINS, max(1, len(scores) // _IMAGES_OF_A_BIN))
        edges = np.quantile(scores, np.arange(1, bins) / bins)
        cell = groups.codes * bins + np.searchsorted(edges, scores, side="left")

        def sums(values: NDArray[Any] | None) -> Array:
            own = np.bincount(cell, values, groups.size * bins).reshape(groups.size, bins).astype(float)
            whole = own.sum(0)
            return np.concatenate([whole[None], whole - own])

        count, said, came = sums(None), sums(scores.astype(float)), sums(true.astype(float))
        squares = sums((scores - true.astype(float)) ** 2).sum(1)
        images = count.sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            gaps = np.where(count > 0, (said - came) ** 2 / count, 0.0).sum(1)
        share = came.sum(1) / images
        self.reliability: Array = gaps / images
        self.uncertainty: Array = share * (1 - share)
        self.brier: Array = squares / images


def _estimate(found: Array, groups: Groups, *, root: bool) -> Estimate:
    """Take the bias out of (1 + G, S) values, the first on all images, and return their mean with its interval."""
    whole, without = found[0], found[1:]
    share = np.bincount(groups.codes, minlength=groups.size)[:, None] / len(groups.codes)
    each = groups.size * whole - ((1 - share) * without).sum(0)
    moved = without + (each - without.mean(0))  # the spread of the jackknife lies around its own mean
    spread = groups.spread(each, moved)
    low, high = (float(bound) for bound in spread.interval())
    value = float(each.mean())
    bounds = np.array([value, low, high, *each])
    if root:
        bounds = np.sqrt(np.clip(bounds, 0, 1))
    value, low, high = (float(bound) for bound in bounds[:3])
    # No measure lies outside [-1, 2]: what two groups tell reaches from end to end.
    return Estimate(value=value, low=max(low, -1.0), high=min(high, 2.0), per_seed=bounds[3:].tolist())
