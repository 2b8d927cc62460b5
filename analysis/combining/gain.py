"""How much better one way to use the models is than the single model, on images that no choice has seen."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from analysis.combining.judging import Judge
from analysis.results import ALPHA
from analysis.run.combinations import Gain
from analysis.statistics.comparing.paired import RESAMPLES, corrected
from analysis.statistics.uncertainty.sampling import sampling_of
from fer_tune.objectives import Aim


def gain(
    aim: Aim,
    labels: NDArray[Any],
    used: NDArray[Any],
    single: NDArray[Any],
    *,
    groups: list[str] | None = None,
    comparisons: int = 1,
    resamples: int = RESAMPLES,
) -> Gain:
    """Return what is known of the difference on new images of the same kind, and for new seeds.

    Each seed of the single model is compared with what is used in its place: with the same seed where that has as many,
    as with mirror images, else with the one classifier that all of them make.  How those differences vary tells of new
    seeds; a mean of seeds varies less than they do, so the interval errs to the side of caution.

    Args:
        aim: what the run judges by.
        labels: (N,) integer classes.
        used: (K, N, C) probabilities of the chosen combination: K is 1, or S.
        single: (S, N, C) of the single model's seeds.
        groups: N names, where the split goes by group; the interval is then for new groups.
        comparisons: that the opening makes in all; the interval and p are corrected for them (Bonferroni).
        resamples: bootstrap resamples.
    """
    sampling = sampling_of(groups, len(labels), resamples)
    judge = Judge(aim, labels, groups)
    observed = judge.values(used) - judge.values(single)
    resampled = judge.resampled(used, sampling) - judge.resampled(single, sampling)
    found = sampling.spread(observed, resampled)
    low, high = found.interval(1 - ALPHA / comparisons)
    return Gain(
        value=float(found.value),
        low=float(low),
        high=float(high),
        p=corrected(float(found.p()), comparisons),
        comparisons=comparisons,
    )
