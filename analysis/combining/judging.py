"""What a run judges by, of predicted probabilities: on all images, and with parts of them left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit  # scipy.stats takes seconds to import

from analysis.statistics import metrics
from analysis.statistics.calibration.probabilistic import losses
from analysis.statistics.uncertainty.sampling import Groups, Sampling, resampled_confusions
from fer_tune.objectives import Aim

Array = NDArray[np.float64]

_METRICS = {
    "val_accuracy": metrics.accuracy,
    "val_balanced_accuracy": metrics.balanced_accuracy,
    "val_macro_f1": metrics.macro_f1,
}


class Judge:
    """Judges classifiers on the same images by what the run judges by; more is always better (a loss is negative).

    Args:
        aim: what the run judges by.
        labels: (N,) integer classes.
        groups: N names, where the split goes by group; else each image stands for itself.
    """

    def __init__(self, aim: Aim, labels: NDArray[Any], groups: list[str] | None) -> None:
        self._aim, self._labels = aim, labels
        whole = bool(groups) and len(set(groups or ())) > 1
        self.units: NDArray[Any] = np.unique(
            np.asarray(groups) if whole else np.arange(len(labels)), return_inverse=True
        )[1]
        self._left_out = Groups(self.units)

    def values(self, probabilities: NDArray[Any]) -> Array:
        """Return (K,) values of K classifiers from their probabilities, (K, N, C)."""
        if self._aim.column == "val_loss":
            found: Array = -self.losses(probabilities)
            return found
        classes = probabilities.shape[-1]
        predicted = probabilities.argmax(-1)
        if self._aim.column == "val_accuracy":
            return np.asarray((predicted == self._labels).mean(-1))
        counts = np.stack([metrics.confusion_matrix(self._labels, row, classes) for row in predicted])
        return _METRICS[self._aim.column](counts)

    def losses(self, probabilities: NDArray[Any]) -> Array:
        """Return (K,) log losses in nats."""
        return np.asarray(losses(self._labels, probabilities).mean(-1))

    def resampled(self, probabilities: NDArray[Any], sampling: Sampling | None = None) -> Array:
        """Return (R, K) values on resamples; by default without each image, person or block of images in turn."""
        sampling = sampling or self._left_out
        if self._aim.column == "val_loss":
            each = losses(self._labels, probabilities).T
            return np.concatenate([-(w @ each) / w.sum(1, keepdims=True) for w in sampling.weights()])
        predicted, classes = probabilities.argmax(-1), probabilities.shape[-1]
        return _METRICS[self._aim.column](resampled_confusions(self._labels, predicted, classes, sampling))

    def margin(self, difference: float, without: Array) -> float:
        """Return the standard error of a difference, by the jackknife; a little more with few groups.

        Args:
            difference: of two means of values.
            without: (R,) the same on `resampled`.

        Returns:
            As far as Student's t lies from zero with the chance that a standard error has in a normal distribution:
            1.00 standard errors for many groups, 1.84 for two; infinite for one, of which nothing can be told.
        """
        [(variance, freedom)] = self._left_out.spread(np.array([difference]), without[:, None]).parts
        if not freedom:
            return float("inf")
        return float(stdtrit(freedom, ndtr(1)) * np.sqrt(variance))
