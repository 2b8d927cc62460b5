"""Several models as one module, whose output is that of one: for export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from analysis.use.predicting import Network

if TYPE_CHECKING:
    from collections.abc import Sequence


class Averaged(nn.Module):
    """The mean of the probabilities of several classifiers, as logits.

    Args:
        models: M classifiers that take the same images.
        shares: M numbers that sum to 1.
        mirrored: whether the mirror image of each image counts as much as the image.

    >>> both = Averaged([nn.Identity(), nn.Identity()], [0.25, 0.75])
    >>> both(torch.tensor([[0.0, 0.0]])).softmax(1)
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, models: Sequence[nn.Module], shares: Sequence[float], mirrored: bool = False) -> None:
        super().__init__()
        self.models, self._shares, self._mirrored = nn.ModuleList(models), list(shares), mirrored

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, classes) logits of (B, C, H, W) images: the logarithms of the probabilities."""
        views = [images, images.flip(-1)] if self._mirrored else [images]
        probabilities = [
            share / len(views) * model(view).softmax(1)
            for model, share in zip(self.models, self._shares, strict=True)
            for view in views
        ]
        joint = torch.stack(probabilities).sum(0)
        return joint.clamp(min=torch.finfo(joint.dtype).tiny).log()


def built(models: Network) -> Any:
    """Return the models as one on the CPU, in evaluation mode: itself where it is one, and not mirrored."""
    each = [models.load(number, "cpu") for number in range(len(models.seeds))]
    if len(each) == 1 and not models.mirrored:
        return each[0]
    return Averaged(each, models.weights().tolist(), models.mirrored).eval()
