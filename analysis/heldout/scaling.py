"""Temperature scaling of the tested models: fitted on validation, told on the held-out split before and after."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from analysis.results import Estimate, Scaling
from analysis.statistics.calibration.errors import calibration
from analysis.statistics.calibration.probabilistic import losses, mean_spread, squares
from analysis.statistics.calibration.temperature import scaled_seeds
from analysis.statistics.uncertainty.sampling import RESAMPLES, Sampling, sampling_of


def scaling(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    temperatures: list[float],
    images: int,
    *,
    groups: list[str] | None = None,
    resamples: int = RESAMPLES,
) -> Scaling:
    """Return what the probabilities are worth once each seed's are scaled with its temperature.

    The intervals are for new images (or groups) and new seeds, with temperatures that are fitted as these were.

    Args:
        labels: (N,) integer classes of the held-out images.
        probabilities: (S, N, C) as the models give them.
        temperatures: of the S seeds, fitted elsewhere.
        images: how many images they were fitted on.
        groups: N names, where the split goes by group.
        resamples: bootstrap resamples.
    """
    sampling = sampling_of(groups, len(labels), resamples)
    scaled = scaled_seeds(probabilities, temperatures)
    before, after = losses(labels, probabilities), losses(labels, scaled)
    return Scaling(
        temperatures=temperatures,
        images=images,
        after={
            "log_loss": _mean(after, sampling),
            "brier": _mean(squares(labels, scaled), sampling),
            **calibration(labels, scaled, sampling),
        },
        gain=_mean(before - after, sampling),
    )


def _mean(values: NDArray[Any], sampling: Sampling) -> Estimate:
    """Return the mean of (S, N) values over images and seeds, with its interval."""
    spread = mean_spread(values, sampling)
    low, high = (float(bound) for bound in spread.interval())
    return Estimate(value=float(spread.value), low=low, high=high, per_seed=values.mean(1).tolist())
