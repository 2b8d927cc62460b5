"""Classification metrics from a confusion matrix that is summed on the device, without a synchronisation per step."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


class Meter:
    """Sums the loss and the confusion matrix over batches, and over ranks when asked for the result."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._confusion = torch.zeros(classes * classes, dtype=torch.float64, device=device)
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    def update(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Add a batch.

        Args:
            logits: (B, classes) float.
            labels: (B,) int64.
            loss: scalar, the batch's mean.
        """
        cells = labels * self._classes + logits.detach().argmax(1)
        self._confusion.index_add_(0, cells, torch.ones_like(cells, dtype=torch.float64))
        self._loss += loss.detach().double() * len(labels)

    def result(self, prefix: str) -> dict[str, float]:
        """Return ``<prefix>_loss``, ``_accuracy``, ``_balanced_accuracy`` and ``_macro_f1`` over all ranks."""
        sums = torch.cat([self._confusion, self._loss.view(1)])
        if dist.is_initialized():
            dist.all_reduce(sums)
        confusion = sums[:-1].view(self._classes, self._classes).cpu()
        scores = scores_of(confusion)
        loss = float(sums[-1]) / max(1.0, float(confusion.sum()))
        return {f"{prefix}_loss": loss, **{f"{prefix}_{name}": value for name, value in scores.items()}}


def scores_of(confusion: Tensor) -> dict[str, float]:
    """Return accuracy, balanced accuracy and macro F1, each in [0, 1], as scikit-learn defines them.

    Args:
        confusion: (classes, classes) float64; rows are true labels, columns predictions.

    Classes with no true image are left out of the balanced accuracy; classes neither seen nor predicted are left
    out of macro F1.
    """
    right, true, predicted = confusion.diag(), confusion.sum(1), confusion.sum(0)
    seen, either = true > 0, (true + predicted) > 0
    return {
        "accuracy": float(right.sum() / confusion.sum().clamp(min=1)),
        "balanced_accuracy": float((right[seen] / true[seen]).mean()) if seen.any() else 0.0,
        "macro_f1": float((2 * right[either] / (true + predicted)[either]).mean()) if either.any() else 0.0,
    }
