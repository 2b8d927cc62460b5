"""Classification metrics over an epoch; nothing is synchronised before the epoch's end."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

SCORES: tuple[str, ...] = (
    "accuracy",
    "balanced_accuracy",  # the macro recall
    "macro_precision",
    "macro_specificity",
    "macro_f1",
    "macro_auc",
)


class Meter:
    """Keeps the logits and the losses of batches on the device, and computes everything when asked for the result.

    Its tensors stay where they are, also from one epoch to the next, and so does how many rows are filled: a step that
    is captured once and replayed writes to the same addresses each time.

    Args:
        classes: how many there are.
        device: of the batches.
        room: images of one epoch, at most.
    """

    def __init__(self, classes: int, device: torch.device, room: int) -> None:
        self._classes = classes
        self._logits = torch.zeros(room, classes, device=device)
        self._labels = torch.zeros(room, dtype=torch.int64, device=device)
        self._filled = torch.zeros((), dtype=torch.int64, device=device)
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    def clear(self) -> None:
        """Begin a new epoch."""
        self._filled.zero_()
        self._loss.zero_()

    def tensors(self) -> list[Tensor]:
        """What a step changes."""
        return [self._logits, self._labels, self._filled, self._loss]

    def update(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Add a batch.

        Args:
            logits: (B, classes) float.
            labels: (B,) int64.
            loss: scalar, the batch's mean.
        """
        rows = self._filled + torch.arange(len(labels), device=self._filled.device)
        self._logits.index_copy_(0, rows, logits.detach().float())
        self._labels.index_copy_(0, rows, labels)
        self._filled += len(labels)
        self._loss += loss.detach().double() * len(labels)

    def finite(self) -> bool:
        """Whether the loss so far is a number on every rank, so that all end together; waits for the device."""
        finite = torch.isfinite(self._loss).float()
        if dist.is_initialized():
            dist.all_reduce(finite, dist.ReduceOp.MIN)
        return bool(finite)

    def result(self, prefix: str) -> dict[str, float | list[float]]:
        """Return ``<prefix>_loss``, the `SCORES` and ``<prefix>_recalls`` (of each class), over all ranks."""
        filled = int(self._filled)
        logits, labels = self._logits[:filled], self._labels[:filled]
        loss = torch.stack([self._loss, torch.tensor(float(len(labels)), dtype=torch.float64, device=logits.device)])
        if dist.is_initialized():
            dist.all_reduce(loss)
            logits, labels = _gathered(logits), _gathered(labels)
        probabilities = logits.softmax(1)
        if not logits.is_cuda:  # there sorting is as quick as the epoch is short; others have no double precision
            probabilities, labels = probabilities.cpu(), labels.cpu()
        found = scores(probabilities, labels, self._classes)
        named = {f"{prefix}_{name}": value for name, value in found.items()}
        return {f"{prefix}_loss": float(loss[0] / loss[1].clamp(min=1)), **named}


def scores(probabilities: Tensor, labels: Tensor, classes: int) -> dict[str, float | list[float]]:
    """Return the `SCORES`, each in [0, 1], as scikit-learn defines them, and ``recalls``, one per class.

    Args:
        probabilities: (N, classes) float32.
        labels: (N,) int64.
        classes: how many there are.

    A class without images is left out of balanced accuracy and AUC and has a recall of NaN; one that is never
    predicted has a precision of 0; one neither seen nor predicted is left out of precision and F1.  The AUC is
    one-vs-rest, a mean over classes; where no class can have one (NaN probabilities, a single class) it is 0.5.
    """
    cells = labels * classes + probabilities.argmax(1)
    confusion = torch.bincount(cells, minlength=classes * classes).view(classes, classes).double()
    right, true, predicted, total = confusion.diag(), confusion.sum(1), confusion.sum(0), confusion.sum().clamp(min=1)
    seen, either = true > 0, (true + predicted) > 0
    negatives = total - true
    wrong = predicted - right  # called this class and are not
    some = negatives > 0
    return {
        "accuracy": float(right.sum() / total),
        "balanced_accuracy": _mean(right[seen] / true[seen]),
        "macro_precision": _mean(right[either] / predicted[either].clamp(min=1)),
        "macro_specificity": _mean(1 - wrong[some] / negatives[some]),
        "macro_f1": _mean(2 * right[either] / (true + predicted)[either]),
        "macro_auc": _auc(probabilities, labels, classes),
        "recalls": (right / true).tolist(),
    }


def _auc(probabilities: Tensor, labels: Tensor, classes: int) -> float:
    """Return the mean one-vs-rest area under the ROC curve, from rank sums (Mann and Whitney 1947)."""
    if not torch.isfinite(probabilities).all():
        return 0.5
    is_class = labels[:, None] == torch.arange(classes, device=labels.device)  # (N, classes)
    positives = is_class.sum(0)
    negatives = len(labels) - positives
    known = (positives > 0) & (negatives > 0)
    if not known.any():
        return 0.5
    sums = (_ranks(probabilities) * is_class).sum(0)[known]
    positives, negatives = positives[known].double(), negatives[known]
    areas = (sums - positives * (positives + 1) / 2) / (positives * negatives)
    return float(areas.cpu().numpy().mean())


def _ranks(values: Tensor) -> Tensor:
    """Return each value's rank in its column, (N, classes) float64, from 1, equal values sharing the mean of theirs.

    On a CPU NumPy's is three times as quick (28,000 rows of 7: 19 ms against 56 on one core); a GPU, which trains so
    many images in a few tenths of a second, need not send them over.
    """
    return _ranks_there(values) if values.is_cuda else torch.from_numpy(_ranks_here(values.numpy()))


def _ranks_there(values: Tensor) -> Tensor:
    columns = values.t().contiguous()
    ordered = columns.sort(1).values
    below, up_to = (torch.searchsorted(ordered, columns, right=right) for right in (False, True))
    return (below + up_to + 1).t().double() / 2


def _ranks_here(values: np.ndarray) -> np.ndarray:
    # `scipy.stats.rankdata` does the same, but importing it takes a tenth of what a trial's process needs to start.
    ranks = np.empty(values.shape)
    for column, found in zip(ranks.T, values.T, strict=True):
        _, inverse, counts = np.unique(found, return_inverse=True, return_counts=True)
        column[:] = (counts.cumsum() - (counts - 1) / 2)[inverse]
    return ranks


def _mean(values: Tensor) -> float:
    return float(values.mean()) if len(values) else 0.0


def _gathered(rows: Tensor) -> Tensor:
    """Return the rows of every rank; ranks may have different numbers of them."""
    world = dist.get_world_size()
    counts = [torch.zeros((), dtype=torch.int64, device=rows.device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor(len(rows), device=rows.device))
    longest = max(int(count) for count in counts)
    padded = torch.cat([rows, rows.new_zeros(longest - len(rows), *rows.shape[1:])])
    parts = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])
