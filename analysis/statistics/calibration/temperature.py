"""Temperature scaling: one number by which the logits are divided, so that probabilities are as sure as they are right.

It changes no answer.  Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST, _MOST = 0.05, 20.0
"""Temperatures that are tried: beyond them a softmax is a choice, or says nothing."""


def fit_temperature(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Return the temperature with the least log loss on some images, which must not be those that judge it.

    Args:
        labels: (N,) integer classes.
        probabilities: (N, C) of one model.

    >>> sure = np.array([[0.99, 0.01]] * 10)
    >>> round(fit_temperature(np.array([0] * 8 + [1] * 2), sure), 2)  # right in 8 of 10
    3.31
    """
    from scipy.optimize import minimize_scalar

    logits = _logits(probabilities)

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled -= scaled.max(-1, keepdims=True)
        own = np.take_along_axis(scaled, labels[:, None], axis=-1)[:, 0]
        return float((np.log(np.exp(scaled).sum(-1)) - own).mean())

    found = minimize_scalar(loss, bounds=(np.log(_LEAST), np.log(_MOST)), method="bounded")
    return float(np.exp(found.x))


def with_temperature(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float32]:
    """Return (..., C) probabilities as they are when the logits behind them are divided by ``temperature``."""
    logits = _logits(probabilities) / temperature
    scaled = np.exp(logits - logits.max(-1, keepdims=True))
    found: NDArray[np.float32] = (scaled / scaled.sum(-1, keepdims=True)).astype(np.float32)
    return found


def scaled_seeds(probabilities: NDArray[Any], temperatures: list[float]) -> NDArray[np.float32]:
    """Return (S, N, C) probabilities, each seed's scaled with its own temperature."""
    return np.stack([with_temperature(each, own) for each, own in zip(probabilities, temperatures, strict=True)])


def _logits(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Return logits up to a constant; probabilities that float32 rounds to zero have the smallest that it knows."""
    found: NDArray[np.float64] = np.log(np.clip(probabilities.astype(np.float64), np.finfo(np.float32).tiny, 1))
    return found
