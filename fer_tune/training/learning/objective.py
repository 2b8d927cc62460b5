"""The loss of a batch, and how rare classes gain weight in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fer_tune.config import TrialConfig

_BETA = 0.999  # effective number: about a thousand images of a class, then more of them hardly count


class Objective(nn.Module):
    """Cross-entropy with label smoothing, class weights, and the mixed targets of Mixup and CutMix.

    A target may be a distribution, such as that of several people's votes; then each class counts with its weight.

    Smoothing gives every class an equal part of a share of the target (Szegedy et al. 2016, "Rethinking the Inception
    Architecture").

    Args:
        config: ``label_smoothing`` and ``class_weighting``.
        counts: (classes,) int, training images of each class.
    """

    weights: Tensor | None

    def __init__(self, config: TrialConfig, counts: npt.NDArray[np.int64]) -> None:
        super().__init__()
        self._smoothing = config.label_smoothing
        weights = class_weights(config.class_weighting, counts)
        self.register_buffer("weights", None if weights is None else torch.from_numpy(weights).float())

    def forward(
        self, logits: Tensor, targets: Tensor, partners: Tensor | None = None, share: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss of a batch in nats.

        Args:
            logits: (B, classes) float.
            targets: (B,) int64, classes; or (B, classes) float, distributions over them.
            partners: the same of the images mixed in, if any were.
            share: (B,) float32, how much of each image is its own.
        """
        own = self._each(logits, targets)
        if partners is not None and share is not None:
            own = share * own + (1 - share) * self._each(logits, partners)
        return own.mean()

    def _each(self, logits: Tensor, targets: Tensor) -> Tensor:
        # A weighted mean of torch divides by the batch's weights and so lets a batch of rare faces count no more
        # than one of common ones; these weights have mean 1 over the split, and the plain mean keeps them.
        return nn.functional.cross_entropy(
            logits, targets, weight=self.weights, label_smoothing=self._smoothing, reduction="none"
        )


def class_weights(kind: str, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64] | None:
    """Return a weight per class whose mean over the training images is 1, or None for equal weights.

    ``balanced``: inversely proportional to the class's images, as scikit-learn has it (King and Zeng 2001).
    ``effective_number``: inversely to (1 - beta**n) / (1 - beta) with beta = 0.999 (Cui et al. 2019).  ``sampler``
    weights nothing here: it draws images instead, see :func:`sampling_weights`.  A class without images weighs nothing.
    """
    if kind in ("none", "sampler"):
        return None
    seen = counts > 0
    amounts = counts.astype(float) if kind == "balanced" else (1 - _BETA**counts) / (1 - _BETA)
    weights = np.where(seen, 1 / np.where(seen, amounts, 1), 0.0)
    return np.asarray(weights * counts.sum() / (weights * counts).sum())


def sampling_weights(kind: str, labels: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> Tensor | None:
    """Return how likely each training image is drawn, (N,) float64, for the ``sampler``; None draws each image once."""
    if kind != "sampler":
        return None
    return torch.from_numpy(1.0 / counts[labels])
